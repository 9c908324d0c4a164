//! The breach switch: everybody's sessions, a page of links at a time.

use super::Revoker;
use crate::{
    connection::Error,
    revoke::table::{self, requested},
    settings::Revoke,
};

impl Revoker {
    /// The next page. The row of the revocation is locked while a page is read, so that replicas
    /// do not walk side by side.
    pub(super) async fn revoke_page(
        &self,
        settings: &Revoke,
    ) -> Result<Option<table::Page>, Error> {
        let page = self
            .database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let Some(everyone) = requested::claim_everyone(&transaction).await? else {
                    return Ok(None);
                };
                if !everyone.rest.is_zero() {
                    return Ok(Some(table::Page::resting(everyone.rest)));
                }
                let id = everyone.id;
                if requested::stamp(&transaction, &[id]).await?.is_empty() {
                    return Ok(None);
                }
                let page = table::sweep_everyone(&transaction, &everyone, settings).await?;
                if !page.more {
                    requested::mark(&transaction, &[id], settings).await?;
                }
                transaction.commit().await?;
                if !page.more {
                    tracing::info!(revocation = id, "revoked everybody");
                }
                Ok(Some(page))
            })
            .await?;
        if page.as_ref().is_some_and(|page| page.swept) {
            self.evictor.ring();
        }
        if page.as_ref().is_some_and(|page| !page.more) {
            self.settler.ring();
        }
        Ok(page)
    }
}
