//! Turns a request by hand into a revocation, in the same table as all others.
//!
//! Any role that can connect may send `NOTIFY session_reaper, '42'`, with any payload. A payload that names no user is
//! counted, and never shown: it may be a secret by mistake (P7, P8). Each request that is honoured is a row of the
//! audit trail for months, so no more are honoured than a stranger may safely write.

mod refused;

use std::time::Duration;

use tokio::sync::mpsc;

pub use refused::{Refusal, Refused};

use super::allowance::Allowance;
use crate::{
    connection::{Database, Error},
    process::shutdown::Stop,
    worker::bell::Bell,
};

/// Requests that wait; more are dropped, as a notification may always be.
const MOST_WAITING: usize = 1000;

/// How many are honoured at once, and how long each further one has to wait. That is plenty for trying out, and less
/// than a million rows in the 90 days that a revocation is kept, whoever asks.
const MOST_AT_ONCE: u32 = 100;
const ONE_EACH: Duration = Duration::from_secs(10);

/// Writes revocations; see the module.
#[derive(Clone)]
pub struct Requester {
    /// What it works on.
    pub database: Database,
    /// Rung when one has been written.
    pub revoker: Bell,
}

/// Where requests are put, and where they come out.
pub fn queue() -> (mpsc::Sender<String>, mpsc::Receiver<String>) {
    mpsc::channel(MOST_WAITING)
}

impl Requester {
    /// Works until it is time to stop.
    pub async fn run(self, mut requests: mpsc::Receiver<String>, refused: Refused, stop: Stop) {
        let mut allowance = Allowance::new(MOST_AT_ONCE, ONE_EACH);
        while let Some(Some(payload)) = stop.run_until_stopped(requests.recv()).await {
            if allowance.take() {
                self.honour(&payload, &refused).await;
            } else {
                refused.count(Refusal::TooMany);
            }
        }
    }

    async fn honour(&self, payload: &str, refused: &Refused) {
        match self.revoke_user(payload, "notify").await {
            Ok(Some(revocation)) => tracing::info!(revocation, "requested by NOTIFY"),
            Ok(None) => refused.count(Refusal::NoUser),
            Err(error) => {
                tracing::error!(%error, "could not note a request by NOTIFY; send it again");
            }
        }
    }

    /// Asks for a user's sessions to end. Returns the revocation's number; none if there is no such user.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn revoke_user(&self, user: &str, reason: &str) -> Result<Option<i64>, Error> {
        // No text in PostgreSQL can contain NUL; the driver would fail on it.
        if user.contains('\0') {
            return Ok(None);
        }
        let row = self
            .database
            .query_one(
                "-- revoke::requester::revoke_user
                select session_reaper.revoke_user(session_reaper.find_user($1), $2)",
                &[&user, &reason],
            )
            .await?;
        self.revoker.ring();
        Ok(row.get(0))
    }

    /// Asks for every linked session to end, at most so many a second where that is bounded: then the request itself
    /// ends none of them, and the daemon paces. Returns the revocation's number.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement.
    pub async fn revoke_all(&self, reason: &str, per_second: Option<u32>) -> Result<i64, Error> {
        let revocation = self
            .database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let row = transaction
                    .query_one(
                        "-- revoke::requester::revoke_all
                        select session_reaper.revoke_all($1)",
                        &[&reason],
                    )
                    .await?;
                let revocation: i64 = row.get(0);
                if let Some(most) = per_second {
                    let pace = "-- revoke::requester::revoke_all
                        update session_reaper.revocation r set per_second = $2, tried_inline = true where r.id = $1";
                    let most = i32::try_from(most).unwrap_or(i32::MAX);
                    transaction.execute(pace, &[&revocation, &most]).await?;
                }
                transaction.commit().await?;
                Ok(revocation)
            })
            .await?;
        self.revoker.ring();
        Ok(revocation)
    }
}
