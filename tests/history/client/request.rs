//! What requests do with sessions that exist: save them, hold them, end them, write them back.

use std::time::Duration;

use tokio_postgres::Error;

use super::{
    Visitor,
    cached::{DELETE, LOOK},
    transaction::Ending,
    write::Write,
};
use crate::{
    cache::Named,
    data::session_data,
    ledger::{Login, Span, WriteBack},
    poison::HELD,
};

impl Visitor {
    pub(super) async fn save(&mut self, user: i32) -> Result<(), Error> {
        let Some(key) = self.some_session(Some(user)) else {
            return Ok(());
        };
        if self.chance(70) {
            let sent = self.now();
            self.save_data(&key, user).await?;
            self.world.ledger.books().note_write(&key, sent);
            return Ok(());
        }
        let transaction = self.world.next_number();
        let begin = self.begin(false).await?;
        let lock = "select from django_session where session_key = $1 for update";
        self.db.query_opt(lock, &[&key]).await?;
        self.pause(40).await;
        self.save_data(&key, user).await?;
        self.world.ledger.books().note_write(&key, begin.sent);
        self.end(transaction, Ending::Commit).await;
        Ok(())
    }

    /// Holds a row for turns that overlap with those of whoever else chose it, so that it is hardly ever free.
    pub(super) async fn hold(&mut self, user: i32) -> Result<(), Error> {
        let Some(key) = self.contested_session(user) else {
            return Ok(());
        };
        for _ in 0..30 {
            let transaction = self.world.next_number();
            let begin = self.begin(false).await?;
            self.save_data(&key, user).await?;
            self.world.ledger.books().note_write(&key, begin.sent);
            self.pause(50).await;
            self.end(transaction, Ending::Commit).await;
        }
        Ok(())
    }

    /// What a changing transaction saves beside: a session that it did not open.
    pub(super) async fn save_newest(&mut self, user: i32, begin: Span) -> Result<(), Error> {
        let Some(key) = self.some_session(Some(user)) else {
            return Ok(());
        };
        self.save_data(&key, user).await?;
        self.world.ledger.books().note_write(&key, begin.sent);
        Ok(())
    }

    fn contested_session(&mut self, user: i32) -> Option<String> {
        let candidate = self.some_session(Some(user));
        self.world.contested(candidate)
    }

    pub(super) async fn log_out(&mut self, user: i32) -> Result<(), Error> {
        let user = if self.chance(50) { Some(user) } else { None };
        let Some(key) = self.some_session(user) else {
            return Ok(());
        };
        self.remove(&key).await
    }

    async fn remove(&mut self, key: &str) -> Result<(), Error> {
        self.world.ledger.books().removed.insert(key.to_owned());
        if self.world.cache.is_some() {
            return self.leave_cached(key).await;
        }
        self.foresee(HELD);
        self.db.execute(DELETE, &[&key]).await?;
        self.forget_transaction();
        Ok(())
    }

    pub(super) async fn visit(&mut self) -> Result<(), Error> {
        let key = self.new_key();
        self.insert_session(&key).await?;
        self.note_visit(key, "anonymous");
        Ok(())
    }

    /// A session that is nobody's.
    pub(super) fn note_visit(&self, key: String, kind: &str) {
        self.note_login(Login {
            key,
            user: None,
            transaction: self.world.next_number(),
            kind: kind.to_owned(),
            generation: 0,
            versioned: false,
            split: false,
            read: Default::default(),
            begin: Default::default(),
            sight: Default::default(),
            known: self.now(),
            first_write: None,
            previous: None,
        });
    }

    pub(super) async fn revoke_session(&mut self, user: i32) -> Result<(), Error> {
        let Some(key) = self.some_session(Some(user)) else {
            return Ok(());
        };
        let transaction = self.world.next_number();
        self.begin(false).await?;
        let statement =
            "select session_reaper.revoke_session($1::text::varchar), pg_current_xact_id()::text";
        let row = self.db.query_one(statement, &[&key]).await?;
        let asked: Option<i64> = row.get(0);
        self.maybe_pause(20).await;
        // Noted first: it may be gone before the answer to the commit has come.
        self.world.ledger.books().removed.insert(key.clone());
        let ended = self.end(transaction, Ending::Commit).await;
        if ended.committed && asked.is_some() {
            let mut books = self.world.ledger.books();
            books.count("revoke_session");
            let named = Named {
                xid: row.get(1),
                published: self.now(),
            };
            books.cache.named.insert(key.clone(), named);
            books.revoked_by_name.insert(key, transaction);
        }
        Ok(())
    }

    /// A request that loaded its session before it was deleted and saves it afterwards, as a store does that
    /// upserts.
    pub(super) async fn write_back(&mut self, user: i32) -> Result<(), Error> {
        if self.world.options.grace_s == 0 {
            return Ok(());
        }
        let Some(key) = self.some_session(Some(user)) else {
            return Ok(());
        };
        let login = self.world.ledger.books().by_key.get(&key).copied();
        let mut last_seen = self.now();
        if self.session_is_gone(&key).await? {
            return Ok(());
        }
        self.change_one(Write::Password, user).await?;
        for _ in 0..200 {
            let asked = self.now();
            if self.session_is_gone(&key).await? {
                break;
            }
            last_seen = asked;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.pause(self.world.options.grace_s * 700).await;
        self.upsert(key, user, login, last_seen).await
    }

    async fn upsert(
        &mut self,
        key: String,
        user: i32,
        login: Option<usize>,
        last_seen: u64,
    ) -> Result<(), Error> {
        {
            // Somebody may have logged out of it: then nobody promised that it stays away. Nor if it is not his any more.
            let mut books = self.world.ledger.books();
            let is_his = books.by_key.get(&key).copied() == login
                && books
                    .login(&key)
                    .is_some_and(|login| login.user == Some(user));
            if !is_his || books.in_flux.contains(&key) || !books.removed.insert(key.clone()) {
                return Ok(());
            }
            // A store that caches does not do this.
            books.cache.exempt(&key);
        }
        let data = session_data(Some(user), Some(self.rng.u64(..)));
        let upsert = "insert into django_session values ($1, $2, now() + interval '14 days')
            on conflict (session_key) do update set session_data = excluded.session_data";
        self.db.execute(upsert, &[&key, &data]).await?;
        let written = self.now();
        let mut books = self.world.ledger.books();
        books.count("sessions written back");
        books
            .written_back
            .insert(key, WriteBack { last_seen, written });
        Ok(())
    }

    pub(super) async fn session_is_gone(&mut self, key: &str) -> Result<bool, Error> {
        Ok(self.db.query_opt(LOOK, &[&key]).await?.is_none())
    }
}
