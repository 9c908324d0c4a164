//! A client that does nothing but save sessions, as Django does: one or several of them in a transaction.
//!
//! The app alone cannot deadlock: whoever holds a row and wants another one wants rows that nobody else holds
//! together with others. So a deadlock is always the daemon's.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio_postgres::{Client, Error};

use super::register::Save;
use crate::{data::session_data, ledger::Micros, world::World};

const LOCK: &str =
    "select session_data, expire_date from django_session where session_key = $1 for update";
const SAVE: &str =
    "update django_session set session_data = $2, expire_date = $3 where session_key = $1";

/// One client and its connection.
pub(super) struct Saver {
    world: Arc<World>,
    rng: Rng,
    db: Client,
    number: u128,
    savers: u128,
}

/// A save in a transaction that is still open.
struct Saved {
    key: String,
    data: String,
}

impl Saver {
    /// The `number`th of so many; which sessions it saves together with others depends on that.
    pub(super) async fn new(world: Arc<World>, number: u64, savers: u64) -> Self {
        let db = world.connect().await;
        let seed = world.options.seed.wrapping_mul(7_000_003);
        Self {
            world,
            rng: Rng::with_seed(seed.wrapping_add(number)),
            db,
            number: number.into(),
            savers: savers.into(),
        }
    }

    /// Goes on until the world stops. Whatever goes wrong is a complaint, because nothing may.
    pub(super) async fn run(mut self) {
        while !self.world.is_stopping() {
            let keys = self.draw_keys();
            let mut saved = Vec::new();
            if let Err(error) = self.save_all(&keys, &mut saved).await {
                self.note_failure(&error, saved);
                // It fails only where there was no transaction, or no connection, of which the next save tells.
                let _ = self.db.batch_execute("rollback").await;
            }
            self.pause(20).await;
        }
    }

    fn note_failure(&self, error: &Error, saved: Vec<Saved>) {
        let code = error.code().map_or("connection lost", |code| code.code());
        let mut books = self.world.ledger.books();
        books.count(&format!("save failed: {code}"));
        for Saved { key, data } in saved {
            books.saves.take_back(&key, &data);
        }
    }

    async fn save_all(&mut self, keys: &[String], saved: &mut Vec<Saved>) -> Result<(), Error> {
        let alone = keys.len() == 1 && self.rng.bool();
        if !alone {
            self.db.batch_execute("begin").await?;
        }
        for key in keys {
            if !alone && self.rng.bool() {
                self.lock(key).await?;
                self.pause(10).await;
            }
            self.save(key, saved).await?;
            if !alone {
                self.pause(25).await;
            }
        }
        let rolls_back = !alone && self.rng.u32(0..10) == 0;
        if rolls_back {
            for Saved { key, data } in saved.drain(..) {
                self.world.ledger.books().saves.take_back(&key, &data);
            }
        }
        if !alone {
            let end = if rolls_back { "rollback" } else { "commit" };
            self.db.batch_execute(end).await?;
        }
        let mut books = self.world.ledger.books();
        for Saved { key, data } in saved.drain(..) {
            books.saves.commit(&key, &data, self.world.ledger.now());
        }
        Ok(())
    }

    /// Holds what it finds against what was saved.
    async fn lock(&mut self, key: &str) -> Result<(), Error> {
        let asked = self.world.ledger.now();
        let row = self.db.query_opt(LOCK, &[&key]).await?;
        self.note_time(asked);
        if let Some(row) = row {
            let expires = self.world.ledger.micros(row.get(1));
            let mut books = self.world.ledger.books();
            // What this transaction has written itself cannot be there yet: it locks each row once, before.
            books.saves.hold_against(key, row.get(0), expires, asked);
        }
        Ok(())
    }

    async fn save(&mut self, key: &str, saved: &mut Vec<Saved>) -> Result<(), Error> {
        let sent = self.world.ledger.now();
        let save = Save {
            data: session_data(None, Some(self.rng.u64(..))),
            expires: sent + self.draw_lifetime(),
            sent,
            known: None,
        };
        let (data, expires) = (save.data.clone(), self.world.ledger.wall(save.expires));
        self.world.ledger.books().saves.add(key, save);
        saved.push(Saved {
            key: key.to_owned(),
            data: data.clone(),
        });
        let updated = self.db.execute(SAVE, &[&key, &data, &expires]).await?;
        self.note_time(sent);
        if updated == 0 {
            saved.pop();
            let mut books = self.world.ledger.books();
            books.saves.take_back(key, &data);
            books.note_gone(key, self.world.ledger.now());
        }
        Ok(())
    }

    /// Most expire soon, some before the transaction that saves them has ended.
    fn draw_lifetime(&mut self) -> Micros {
        let ms = match self.rng.u32(0..10) {
            0..3 => 5..300,
            3..6 => 300..2_000,
            _ => 2_000..12_000,
        };
        self.rng.u64(ms) * 1000
    }

    /// One session of anybody's, or several of those that only this client saves together, in any order.
    fn draw_keys(&mut self) -> Vec<String> {
        let together = self.rng.u32(0..10) < 4;
        let mut keys: Vec<String> = {
            let books = self.world.ledger.books();
            books.recent.values().flatten().cloned().collect()
        };
        if together {
            keys.retain(|key| self.is_own(key));
        }
        // The map is in no order of its own.
        keys.sort_unstable();
        self.rng.shuffle(&mut keys);
        keys.truncate(if together { 4 } else { 1 });
        keys
    }

    fn is_own(&self, key: &str) -> bool {
        u128::from_str_radix(key, 16).is_ok_and(|number| number % self.savers == self.number)
    }

    fn note_time(&self, sent: Micros) {
        let took = self.world.ledger.now() - sent;
        self.world.ledger.books().saves.took.push(took);
    }

    async fn pause(&mut self, most_ms: u64) {
        let pause = Duration::from_micros(self.rng.u64(0..most_ms * 1000));
        tokio::time::sleep(pause).await;
    }
}
