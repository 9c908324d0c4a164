//! Ends Django sessions that were opened under a password which their user does not have any more.
//!
//! A login that verifies the old password, and opens its session in a transaction that begins after the change, looks
//! like a new one to every rule that a schema can have. Django keeps a hash of the password in the session, so with its
//! `SECRET_KEY` such a session can be told exactly. Each session is looked at once, when the grace is over.
//!
//! A wrong key, one that was rotated away, or a user model with a hash of its own would make every session look stale
//! (P2). So a session that does not match is ended only where one that was opened later does: that proves that the keys
//! were the site's at the time.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Transaction;

use crate::{
    codec::{django::credentials, django_hash::SecretKeys},
    connection::{Error, Pool, answered},
    settings::Link,
    worker::{InForce, Worker},
};

/// How long an unproven mismatch is kept for a proof that may still come, in microseconds.
const WAIT_FOR_PROOF_US: i64 = 3600 * 1_000_000;

/// Compares; see the module.
pub struct Verifier {
    /// Where to take connections from.
    pub pool: Pool,
    /// How long to wait, and how much to read at once.
    pub settings: InForce,
    /// Django's `SECRET_KEY` and fallbacks.
    pub keys: Arc<SecretKeys>,
}

/// A session as it was linked.
struct Linked {
    place: String,
    linked_us: i64,
    /// Whether the hash in it is its user's; nothing where there is none.
    matches: Option<bool>,
}

/// What to do about a batch.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    stale: Vec<String>,
    verified_to_us: i64,
}

impl Worker for Verifier {
    const TASK: &'static str = "compare the hashes in sessions with their users' passwords";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        let (looked, ended) = answered(&self.pool, self.verify(&settings.link)).await?;
        if ended > 0 {
            tracing::warn!(
                sessions = ended,
                "opened under an older password, ending them"
            );
        }
        let is_full = looked >= settings.link.batch_rows as usize;
        Ok(Duration::from_secs(if is_full {
            1
        } else {
            settings.listen.poll_interval_s
        }))
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Verifier {
    /// One batch: how many were compared, and how many are to end.
    async fn verify(&self, settings: &Link) -> Result<(usize, i64), Error> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let linked = self.take(&transaction, settings).await?;
        let mut ended = 0;
        if let Some(verdict) = judge(&linked) {
            ended = end_stale(&transaction, &verdict).await?;
        }
        transaction.commit().await?;
        Ok((linked.len(), ended))
    }

    async fn take(
        &self,
        transaction: &Transaction<'_>,
        settings: &Link,
    ) -> Result<Vec<Linked>, Error> {
        let rows = transaction
            .query(
                "-- verifier::take
                select v.place, v.linked_us, v.data, v.password from session_reaper.take_unverified($1, $2) v",
                &[
                    &i32::try_from(settings.batch_rows).unwrap_or(i32::MAX),
                    &(settings.verify_after_s as f64),
                ],
            )
            .await?;
        let linked = |row: &tokio_postgres::Row| Linked {
            place: row.get(0),
            linked_us: row.get(1),
            matches: self.matches(row.get(2), row.get(3)),
        };
        Ok(rows.iter().map(linked).collect())
    }

    /// A session without a hash, and a user without a password, prove nothing and are left alone.
    fn matches(&self, data: Option<&[u8]>, password: Option<&str>) -> Option<bool> {
        let hash = credentials(data?)?.hash;
        Some(self.keys.match_password(password?, &hash))
    }
}

/// What to do about sessions in the order in which they were linked; nothing about none.
fn judge(linked: &[Linked]) -> Option<Verdict> {
    let last = linked.last()?.linked_us;
    let proven_to = linked
        .iter()
        .rev()
        .find(|session| session.matches == Some(true))
        .map(|session| session.linked_us);
    let mismatches = || {
        linked
            .iter()
            .filter(|session| session.matches == Some(false))
    };
    let is_proven = |session: &&Linked| proven_to.is_some_and(|to| session.linked_us < to);
    let stale = mismatches()
        .filter(is_proven)
        .map(|session| session.place.clone())
        .collect();
    let waits = mismatches()
        .find(|session| !is_proven(session) && session.linked_us > last - WAIT_FOR_PROOF_US);
    Some(Verdict {
        stale,
        verified_to_us: waits.map_or(last, |session| session.linked_us - 1),
    })
}

async fn end_stale(transaction: &Transaction<'_>, verdict: &Verdict) -> Result<i64, Error> {
    let row = transaction
        .query_one(
            "-- verifier::end_stale
            select session_reaper.end_stale($1, $2)",
            &[&verdict.stale, &verdict.verified_to_us],
        )
        .await?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(sessions: &[(i64, Option<bool>)]) -> Vec<Linked> {
        let one = |(linked_us, matches): &(i64, Option<bool>)| Linked {
            place: linked_us.to_string(),
            linked_us: *linked_us,
            matches: *matches,
        };
        sessions.iter().map(one).collect()
    }

    fn verdict(sessions: &[(i64, Option<bool>)]) -> (Vec<String>, i64) {
        let verdict = judge(&linked(sessions)).unwrap();
        (verdict.stale, verdict.verified_to_us)
    }

    #[test]
    fn a_session_is_stale_only_where_a_later_one_matches() {
        let stale = verdict(&[(1, Some(false)), (2, Some(true)), (3, None)]);
        assert_eq!(stale, (vec!["1".to_owned()], 3));
    }

    #[test]
    fn after_a_rotation_nothing_is_stale_and_all_wait_for_a_proof() {
        let rotated = verdict(&[(1, Some(true)), (2, Some(false)), (3, Some(false))]);
        assert_eq!(rotated, (vec![], 1));
    }

    #[test]
    fn a_proof_that_does_not_come_is_not_waited_for_without_end() {
        let hour = WAIT_FOR_PROOF_US;
        assert_eq!(
            verdict(&[(1, Some(false)), (hour + 2, None)]),
            (vec![], hour + 2)
        );
    }

    #[test]
    fn sessions_without_a_hash_prove_nothing() {
        assert_eq!(
            verdict(&[(1, None), (2, Some(false)), (3, None)]),
            (vec![], 1)
        );
    }
}
