//! Ends Django sessions that were opened under a password that their user no longer has.
//!
//! A login that verifies the old password, and opens its session in a transaction that begins after the change, looks
//! like a new one to every rule that a schema can have. Django keeps a hash of the password in the session, so with its
//! `SECRET_KEY` such a session can be recognised exactly. Each session is looked at once, when the grace is over.
//!
//! A wrong key, one that was rotated away, or a user model with its own hash would make every session look stale (P2).
//! So a session that does not match is ended only where one that was opened later matches: that proves that the keys
//! were the site's at the time.

mod verdict;

use std::{pin::pin, sync::Arc, time::Duration};

use deadpool_postgres::Transaction;
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::rows::{MOST_BYTES, each};
use crate::{
    codec::{
        django::credentials,
        django_hash::{SecretKeys, is_among},
    },
    connection::{Database, Error},
    settings::Link,
    worker::{InForce, Worker, halving::Halves, size::Size},
};
use verdict::{Linked, Verdict, judge};

/// Compares; see the module.
pub struct Verifier {
    /// What it works on.
    pub database: Database,
    /// How long to wait, and how much to read at once.
    pub settings: InForce,
    /// Django's `SECRET_KEY` and fallbacks.
    pub keys: Arc<SecretKeys>,
    /// How many go into one statement. The batch that is looked at together stays as large as ever, or a session that
    /// proves another stale might not be in it.
    pub size: Size,
}

impl Worker for Verifier {
    const NAME: &'static str = "verifier";
    const TASK: &'static str = "compare the hashes in sessions with their users' passwords";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        let verified = self.verify(&settings.link).await;
        let (looked, ended) = self.size.note(verified)?;
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

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Verifier {
    /// One batch: how many were compared, and how many are to end.
    async fn verify(&self, settings: &Link) -> Result<(usize, i64), Error> {
        let at_once = self.size.of(settings.batch_rows) as usize;
        self.database
            .work(async |mut client| {
                let transaction = client.transaction().await?;
                let linked = self.take(&transaction, settings).await?;
                let mut ended = 0;
                if let Some(verdict) = judge(&linked) {
                    ended = end_stale(&transaction, &verdict, at_once).await?;
                }
                transaction.commit().await?;
                Ok((linked.len(), ended))
            })
            .await
    }

    async fn take(
        &self,
        transaction: &Transaction<'_>,
        settings: &Link,
    ) -> Result<Vec<Linked>, Error> {
        let rows = transaction
            .query(
                "-- link::stale_hashes::take
                select v.place, v.linked_us from session_reaper.take_unverified($1, $2) v",
                &[
                    &i32::try_from(settings.batch_rows).unwrap_or(i32::MAX),
                    &(settings.verify_after_s as f64),
                ],
            )
            .await?;
        let places: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        self.bring_keys(transaction).await?;
        let at_once = self.size.of(settings.batch_rows) as usize;
        let matches = compare(transaction, &places, at_once).await?;
        let linked = rows.iter().zip(places).zip(matches);
        let linked = linked.map(|((row, place), matches)| Linked {
            place,
            linked_us: row.get(1),
            matches,
        });
        Ok(linked.collect())
    }

    /// The database does what needs the password hash, which this role has no right to read. Copied, because a
    /// parameter of a statement can reach the server's log (P7).
    async fn bring_keys(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let copy = "-- link::stale_hashes::bring_keys
            copy session_reaper.hash_key (inner_block, outer_block) from stdin (format binary)";
        let sink = transaction.copy_in(copy).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::BYTEA, Type::BYTEA]));
        for blocks in self.keys.blocks() {
            let row: [&(dyn ToSql + Sync); 2] = [&&blocks.inner[..], &&blocks.outer[..]];
            writer.as_mut().write(&row).await?;
        }
        writer.finish().await?;
        Ok(())
    }
}

/// Part by part and as they arrive, so that a batch of large sessions takes no more memory than one of them.
async fn compare(
    transaction: &Transaction<'_>,
    places: &[String],
    at_once: usize,
) -> Result<Vec<Option<bool>>, Error> {
    let statement = "-- link::stale_hashes::compare
        select v.data, v.hashes from session_reaper.unverified($1, $2) v";
    let mut all = Vec::new();
    while all.len() < places.len() {
        let rest = &places[all.len()..places.len().min(all.len() + at_once)];
        each(transaction, statement, &[&rest, &MOST_BYTES], |row| {
            all.push(matches(row.get(0), row.get(1)));
        })
        .await?;
    }
    Ok(all)
}

/// A session without a hash, and a user without a password, prove nothing and are left alone.
fn matches(data: Option<&[u8]>, hashes: Option<Vec<&[u8]>>) -> Option<bool> {
    let hash = credentials(data?)?.hash;
    Some(is_among(&hashes?, &hash))
}

async fn end_stale(
    transaction: &Transaction<'_>,
    verdict: &Verdict,
    at_once: usize,
) -> Result<i64, Error> {
    let mut ended = 0;
    let mut halves = Halves::of_parts(verdict.stale.len(), at_once);
    while let Some(part) = halves.next() {
        let row = transaction
            .query_one(
                "-- link::stale_hashes::end_stale
                select session_reaper.end_stale($1, $2)",
                &[&&verdict.stale[part], &verdict.verified_to_us],
            )
            .await?;
        ended += row.get::<_, i64>(0);
    }
    Ok(ended)
}
