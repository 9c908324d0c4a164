//! A batch of revocations, in which one that fails does not hold up the others.

use tokio_postgres::error::SqlState;

use super::{More, Report, Revoker};
use crate::{
    connection::Error,
    revoke::table::{self, requested},
    settings::Revoke,
    wording::span,
};

impl Revoker {
    /// One transaction for many revocations; where that fails for any reason but a lost connection, one for each, so
    /// that only the culprit waits.
    pub(super) async fn revoke_batch(&self, settings: &Revoke) -> Result<Report, Error> {
        // A few sessions for each: most users have no more.
        let most = settings.batch_rows.min(10).max(settings.batch_rows / 4);
        match self.revoke(settings, most).await {
            Err((ids, error)) if !error.is_transient() && !ids.is_empty() => {
                self.database.drop_useless(&error);
                self.revoke_each(settings, ids.len()).await
            }
            result => result.map_err(|(_, error)| error),
        }
    }

    async fn revoke_each(&self, settings: &Revoke, count: usize) -> Result<Report, Error> {
        let mut total = Report::default();
        for _ in 0..count {
            match self.revoke(settings, 1).await {
                Ok(report) => total.add(report),
                Err((ids, error)) if !ids.is_empty() => {
                    self.postpone(&ids, &error).await?;
                    total.postponed += ids.len();
                }
                Err((_, error)) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Claims, sweeps, and marks the revocations that have no free session left. An error comes with what had been
    /// claimed.
    async fn revoke(&self, settings: &Revoke, most: u32) -> Result<Report, (Vec<i64>, Error)> {
        let mut ids = Vec::new();
        let report = self
            .database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let claimed = requested::claim(&transaction, most).await?;
                ids = claimed.ids;
                if !claimed.are_stamped {
                    ids = requested::stamp(&transaction, &ids).await?;
                }
                if ids.is_empty() {
                    return Ok(Report::default());
                }
                let swept = table::sweep(&transaction, &ids, settings).await?;
                let mut revoked = ids.clone();
                revoked.retain(|id| !swept.unswept.contains(id));
                requested::mark(&transaction, &revoked).await?;
                table::tell(&transaction, &revoked, settings).await?;
                transaction.commit().await?;
                let (revocations, sessions) = (revoked.len(), swept.sessions);
                if let Some(revocation) = span(&revoked) {
                    tracing::info!(revocation, revocations, sessions, "revoked");
                }
                let is_full = ids.len() >= most as usize;
                Ok(Report {
                    revocations,
                    sessions,
                    more: if is_full || !swept.unswept.is_empty() {
                        More::Now
                    } else {
                        More::No
                    },
                    ..Report::default()
                })
            })
            .await;
        report.map_err(|error| (ids, error))
    }

    async fn postpone(&self, ids: &[i64], error: &Error) -> Result<(), Error> {
        if let Some(times) = self.complaints.count_of(&error.to_string()) {
            tracing::error!(revocation = ?ids, times, %error, "could not revoke; this one waits, the others go on");
        }
        let state = error.sqlstate().map(SqlState::code);
        requested::postpone(&self.database, ids, state).await
    }
}
