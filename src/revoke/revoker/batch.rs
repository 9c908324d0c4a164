//! A batch of revocations, in which one that fails does not hold up the others.

use tokio_postgres::error::SqlState;

use super::{More, Report, Revoker};
use crate::{
    connection::Error,
    revoke::table::requested::{self, Batch, Due},
    settings::Revoke,
    wording::span,
};

impl Revoker {
    /// One statement for many revocations, once the sessions that wait for it are linked. Where it fails for any reason
    /// but a lost connection, one transaction for each, so that only the culprit waits. Returns also whether a revocation
    /// of everybody is due.
    pub(super) async fn revoke_batch(&self, settings: &Revoke) -> Result<(Report, bool), Error> {
        // A few sessions for each: most users have no more.
        let most = settings.batch_rows.min(10).max(settings.batch_rows / 4);
        match self.revoke_linked(settings, most).await {
            Err(error) if !error.is_transient() => {
                self.database.drop_useless(&error);
                // Whether one of everybody is due is not known then. Its own claim finds out.
                Ok((self.revoke_each(settings, most).await?, true))
            }
            result => result.map(|due| (report(&due.batch), due.everybody)),
        }
    }

    async fn revoke_linked(&self, settings: &Revoke, most: u32) -> Result<Due, Error> {
        let links_first = self.linker.comes_first().await?;
        let due = requested::revoke_due(&self.database, most, settings, links_first).await?;
        if !due.is_behind {
            return Ok(due);
        }
        self.linker.try_to_drain().await?;
        requested::revoke_due(&self.database, most, settings, false).await
    }

    async fn revoke_each(&self, settings: &Revoke, most: u32) -> Result<Report, Error> {
        let mut total = Report::default();
        for _ in 0..most {
            match self.revoke_one(settings).await {
                Ok(None) => return Ok(total),
                Ok(Some(report)) => total.add(report),
                Err((ids, error)) if !ids.is_empty() => {
                    self.postpone(&ids, &error).await?;
                    total.postponed += ids.len();
                }
                Err((_, error)) => return Err(error),
            }
        }
        // None of them has said that there are no more.
        total.more = More::Now;
        Ok(total)
    }

    /// Nothing if none is due. An error comes with what had been claimed.
    async fn revoke_one(&self, settings: &Revoke) -> Result<Option<Report>, (Vec<i64>, Error)> {
        let mut ids = Vec::new();
        let batch = self
            .database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                ids = requested::claim(&transaction, 1).await?;
                if ids.is_empty() {
                    return Ok(None);
                }
                let batch = requested::revoke_claimed(&transaction, &ids, settings).await?;
                transaction.commit().await?;
                Ok(Some(report(&batch)))
            })
            .await;
        batch.map_err(|error| (ids, error))
    }

    async fn postpone(&self, ids: &[i64], error: &Error) -> Result<(), Error> {
        if let Some(times) = self.complaints.count_of(&error.to_string()) {
            tracing::error!(revocation = ?ids, times, %error, "could not revoke; this one waits, the others go on");
        }
        let state = error.sqlstate().map(SqlState::code);
        requested::postpone(&self.database, ids, state).await
    }
}

fn report(batch: &Batch) -> Report {
    let (revocations, sessions) = (batch.revoked.len(), batch.sessions);
    if let Some(revocation) = span(&batch.revoked) {
        tracing::info!(revocation, revocations, sessions, "revoked");
    }
    Report {
        revocations,
        sessions,
        more: if batch.more { More::Now } else { More::No },
        ..Report::default()
    }
}
