//! What the clients unlearn when a server has lost what it had acknowledged.
//!
//! Every transaction that matters leaves a marker, so a server tells by its markers what is still true there. What is left
//! is what had been committed up to some moment: whoever sees a session's deletion sees the change that ended it, too. What
//! was known before `safe` is there for certain.

use std::collections::HashSet;

use tokio_postgres::{Client, Error};

use crate::{
    ledger::{Books, Micros},
    world::World,
};

/// What is there, of what may have been lost.
pub struct Kept {
    transactions: HashSet<i64>,
    sessions: HashSet<String>,
    users: Vec<i32>,
}

impl Kept {
    pub async fn ask(world: &World, client: &Client, safe: Micros) -> Result<Self, Error> {
        let doubtful = world.ledger.books().doubtful(safe);
        let marked = "select id from history_marker where id = any ($1)";
        let rows = client.query(marked, &[&doubtful]).await?;
        let transactions = rows.iter().map(|row| row.get(0)).collect();
        let rows = client
            .query("select session_key::text from django_session", &[])
            .await?;
        let sessions = rows.iter().map(|row| row.get(0)).collect();
        let rows = client
            .query("select id from only auth_user order by id", &[])
            .await?;
        Ok(Self {
            transactions,
            sessions,
            users: rows.iter().map(|row| row.get(0)).collect(),
        })
    }
}

/// Nobody may be doing or looking at anything meanwhile.
pub fn rewind(world: &World, safe: Micros, kept: &Kept) {
    let mut books = world.ledger.books();
    books.lose_logins(safe, kept);
    books.lose_changes(safe, kept);
    books.bring_back(kept);
    books.see_anew(safe, world.ledger.now());
    books.doubt_write_backs(safe);
    books.backfills.reopen(safe);
    books.users.clone_from(&kept.users);
}

impl Books {
    /// Transactions that were not known to have committed by then.
    fn doubtful(&self, safe: Micros) -> Vec<i64> {
        let logins = self.logins.iter().filter(|login| login.known >= safe);
        let changes = self.changes.values().flatten();
        let changes = changes.filter(|change| change.published >= safe);
        let named = self.revoked_by_name.values();
        logins
            .map(|login| login.transaction)
            .chain(changes.map(|change| change.transaction))
            .chain(named.copied())
            .collect()
    }

    /// Who was logged in before is so again. A login that leaves no marker proves nothing any more, even if it is there.
    fn lose_logins(&mut self, safe: Micros, kept: &Kept) {
        let is_lost = |transaction: &i64| !kept.transactions.contains(transaction);
        let lost: HashSet<usize> = (0..self.logins.len())
            .filter(|place| {
                let login = &self.logins[*place];
                login.known >= safe && is_lost(&login.transaction)
            })
            .filter(|place| self.lost.insert(*place))
            .collect();
        self.count_many("logins lost with a server", lost.len());
        self.gone.retain(|(login, _)| !lost.contains(login));
        self.by_key.clear();
        for (place, login) in self.logins.iter().enumerate() {
            if !self.lost.contains(&place) {
                self.by_key.insert(login.key.clone(), place);
            }
        }
        for (user, recent) in &mut self.recent {
            let is_his = |place: &usize| self.logins[*place].user == *user;
            recent.retain(|key| self.by_key.get(key).is_some_and(is_his));
        }
    }

    fn lose_changes(&mut self, safe: Micros, kept: &Kept) {
        let mut lost = 0;
        for changes in self.changes.values_mut() {
            let before = changes.len();
            changes.retain(|change| {
                change.published < safe || kept.transactions.contains(&change.transaction)
            });
            lost += before - changes.len();
        }
        self.count_many("changes lost with a server", lost);
        let before = self.revoked_by_name.len();
        self.revoked_by_name
            .retain(|_, transaction| kept.transactions.contains(transaction));
        self.cache
            .named
            .retain(|key, _| self.revoked_by_name.contains_key(key));
        let lost = before - self.revoked_by_name.len();
        self.count_many("requests for one session lost with a server", lost);
    }

    /// Sessions whose end was lost are there again.
    fn bring_back(&mut self, kept: &Kept) {
        let (by_key, logins) = (&self.by_key, &self.logins);
        let is_back = |place: usize| {
            let key = &logins[place].key;
            kept.sessions.contains(key) && by_key.get(key) == Some(&place)
        };
        let before = self.gone.len();
        self.gone.retain(|(login, _)| !is_back(*login));
        let back = before - self.gone.len();
        self.believed.retain(|key| by_key.contains_key(key));
        let known = kept.sessions.iter().filter(|key| by_key.contains_key(*key));
        self.believed.extend(known.cloned());
        self.count_many("sessions that came back with a server", back);
    }

    /// Where an end was lost, the same session may have ended once more, by a change that came later.
    fn see_anew(&mut self, safe: Micros, now: Micros) {
        for (_, seen) in &mut self.gone {
            if *seen >= safe {
                *seen = now;
            }
        }
    }

    /// They leave no marker, so whose the session is now is not known.
    fn doubt_write_backs(&mut self, safe: Micros) {
        let doubtful = |written: Micros| written >= safe;
        let keys = self.written_back.iter();
        let keys = keys.filter(|(_, back)| doubtful(back.written));
        let keys: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.written_back.remove(&key);
            self.in_flux.insert(key);
        }
    }

    /// Transactions are numbered anew, and all that were numbered before count as one.
    pub fn forget_numbers(&mut self) {
        let numbers = self.changes.values_mut().flatten();
        let numbers = numbers.map(|change| &mut change.xid);
        let named = self.cache.named.values_mut();
        for number in numbers.chain(named.map(|named| &mut named.xid)) {
            "0".clone_into(number);
        }
    }

    fn count_many(&mut self, what: &str, count: usize) {
        *self.counts.entry(what.to_owned()).or_default() += u64::try_from(count).unwrap();
    }
}
