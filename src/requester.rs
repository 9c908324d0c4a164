//! Turns what somebody asked for by hand into a revocation, in the same table as all others.
//!
//! `NOTIFY session_reaper, '42'` may be sent by any role that can connect, and hold anything. A payload that
//! names no user is one line in the log, without the payload, which may be a secret by mistake (P7, P8).

use tokio::sync::mpsc;

use crate::{
    bell::Bell,
    connection::{Error, Pool, answered},
    shutdown::Stop,
};

/// Requests that wait; more are dropped, as a notification may always be.
const MOST_WAITING: usize = 1000;

/// Writes revocations; see the module.
#[derive(Clone)]
pub struct Requester {
    /// Where to take connections from.
    pub pool: Pool,
    /// Rung when one has been written.
    pub revoker: Bell,
}

/// Where requests are put, and where they come out.
pub fn queue() -> (mpsc::Sender<String>, mpsc::Receiver<String>) {
    mpsc::channel(MOST_WAITING)
}

impl Requester {
    /// Works until it is time to stop.
    pub async fn run(self, mut requests: mpsc::Receiver<String>, stop: Stop) {
        while let Some(Some(payload)) = stop.run_until_stopped(requests.recv()).await {
            let request = self.revoke_user(&payload, "notify");
            match answered(&self.pool, request).await {
                Ok(Some(revocation)) => tracing::info!(revocation, "requested by NOTIFY"),
                Ok(None) => tracing::warn!(
                    payload.bytes = payload.len(),
                    "a request by NOTIFY names no user; its payload has to be a user key and nothing else"
                ),
                Err(error) => {
                    tracing::error!(%error, "could not note a request by NOTIFY; send it again")
                }
            }
        }
    }

    /// Asks for a user's sessions to end; none if there is no such user. Returns the revocation's number.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn revoke_user(&self, user: &str, reason: &str) -> Result<Option<i64>, Error> {
        // NUL is a character in no text of PostgreSQL's; the driver would fail on it.
        if user.contains('\0') {
            return Ok(None);
        }
        let row = self
            .pool
            .get()
            .await?
            .query_one(
                "-- requester::revoke_user
                select session_reaper.revoke_user(session_reaper.find_user($1), $2)",
                &[&user, &reason],
            )
            .await?;
        self.revoker.ring();
        Ok(row.get(0))
    }

    /// Asks for every linked session to end. Returns the revocation's number.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the statement.
    pub async fn revoke_all(&self, reason: &str) -> Result<i64, Error> {
        let row = self
            .pool
            .get()
            .await?
            .query_one(
                "-- requester::revoke_all
                select session_reaper.revoke_all($1)",
                &[&reason],
            )
            .await?;
        self.revoker.ring();
        Ok(row.get(0))
    }
}
