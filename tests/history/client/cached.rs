//! What Django's `cached_db` does beside the table: a request is answered from the cache, and asks the table only where
//! the cache knows nothing; whoever has read a row or saved it fills the cache, now and then long afterwards.

use redis::{RedisError, aio::MultiplexedConnection};
use tokio_postgres::Error;

use super::{Visitor, transaction::Ending};
use crate::{
    cache::{self, LONGEST_REQUEST},
    ledger::Micros,
    options::More,
    poison::HELD,
};

/// How late a request fills the cache at most, while the machine keeps up with it.
const LATE_MS: u64 = 1_200;

pub(super) const DELETE: &str = "delete from django_session where session_key = $1";
pub(super) const LOOK: &str = "select from django_session where session_key = $1";

impl Visitor {
    /// A row that is there, or will be when the transaction commits: whoever deletes it does so after `sent`.
    pub(super) fn saw(&mut self, key: &str, sent: Micros) {
        if self.world.cache.is_some() {
            self.seen.insert(key.to_owned(), sent);
        }
    }

    /// The end of a request: what it has read or saved, and committed, is cached.
    pub(super) async fn fill(&mut self) {
        for (key, seen) in std::mem::take(&mut self.seen) {
            if self.chance(30) {
                self.pause(LATE_MS).await;
            }
            self.fill_one(&key, seen).await;
        }
    }

    async fn fill_one(&mut self, key: &str, seen: Micros) {
        let Some(mut cache) = self.cache().await else {
            return;
        };
        if self.now() > seen + LONGEST_REQUEST {
            self.count("cache: requests given up before they filled it");
            return;
        }
        self.world.ledger.books().cache.send(key);
        let set = redis::cmd("SET")
            .arg(cache::entry(key))
            .arg("session")
            .query_async::<()>(&mut cache)
            .await;
        let in_time = set.is_ok() && self.now() <= seen + LONGEST_REQUEST;
        self.world.ledger.books().cache.arrive(key, in_time);
        self.count("cache: filled");
        self.note_answer(&set);
    }

    /// Somebody is at the site who was logged in before.
    pub(super) async fn browse(&mut self, user: i32) -> Result<(), Error> {
        let Some(key) = self.some_session(Some(user)) else {
            return Ok(());
        };
        if self.is_cached(&key).await {
            self.count("cache: requests answered from it");
            return Ok(());
        }
        let sent = self.now();
        if !self.session_is_gone(&key).await? {
            self.count("cache: requests that asked the table");
            self.saw(&key, sent);
        }
        Ok(())
    }

    async fn is_cached(&mut self, key: &str) -> bool {
        let Some(mut cache) = self.cache().await else {
            return false;
        };
        let get = redis::cmd("GET")
            .arg(cache::entry(key))
            .query_async::<Option<String>>(&mut cache)
            .await;
        self.note_answer(&get);
        get.is_ok_and(|value| value.is_some())
    }

    /// Logs out, now and then in a transaction that goes on for longer than the cache's grace.
    pub(super) async fn leave_cached(&mut self, key: &str) -> Result<(), Error> {
        let is_slow = self.world.options.more == Some(More::Leaves) || self.chance(2);
        if is_slow {
            return self.leave_slowly(key).await;
        }
        self.foresee(HELD);
        self.db.execute(DELETE, &[&key]).await?;
        self.forget_transaction();
        self.forget(key).await;
        Ok(())
    }

    /// As with ATOMIC_REQUESTS, the entry goes before the row has gone for everybody; so somebody comes back meanwhile.
    async fn leave_slowly(&mut self, key: &str) -> Result<(), Error> {
        let transaction = self.world.next_number();
        self.begin(false).await?;
        self.foresee(HELD);
        self.db.execute(DELETE, &[&key]).await?;
        self.forget(key).await;
        self.pause(4_000).await;
        let other = self.world.connect_as_app().await;
        let sent = self.now();
        if other.query_opt(LOOK, &[&key]).await?.is_some() {
            self.saw(key, sent);
        }
        self.end(transaction, Ending::Commit).await;
        Ok(())
    }

    /// Unless the cache blips, or the app does not think of it.
    async fn forget(&mut self, key: &str) {
        if self.chance(40) {
            return;
        }
        let Some(mut cache) = self.cache().await else {
            return;
        };
        let del = redis::cmd("DEL")
            .arg(cache::entry(key))
            .query_async::<()>(&mut cache)
            .await;
        self.note_answer(&del);
    }

    /// None while nobody listens there.
    async fn cache(&mut self) -> Option<MultiplexedConnection> {
        if self.cache.is_none() {
            let address = self.world.cache.clone()?;
            self.cache = address.connect().await.ok();
        }
        self.cache.clone()
    }

    fn note_answer<T>(&mut self, answer: &Result<T, RedisError>) {
        if answer.is_err() {
            self.count("cache: no answer");
            self.cache = None;
        }
    }

    fn count(&self, what: &str) {
        self.world.ledger.books().count(what);
    }
}
