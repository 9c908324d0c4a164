//! A client of the site: logs in, saves, changes passwords, by every route there is.

mod again;
mod belated;
mod cached;
mod change;
mod failure;
mod hand_over;
mod login;
mod odd;
mod own;
mod people;
mod plan;
mod read;
mod request;
mod transaction;
mod write;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
pub use login::READ_FROM_STANDBY;
use login::Verified;
use redis::aio::MultiplexedConnection;
use tokio_postgres::{Client, Error};
use write::Write;

use crate::{
    ledger::Micros,
    options::{More, Trouble},
    world::World,
};

/// One client and its connection.
pub struct Visitor {
    world: Arc<World>,
    rng: Rng,
    db: Client,
    /// Of a site that has one, and only while that answers.
    standby: Option<Client>,
    /// Of a site that has one.
    cache: Option<MultiplexedConnection>,
    /// Sessions that this request has to cache, and when each was there for certain.
    seen: BTreeMap<String, Micros>,
    /// The open transaction sees one snapshot throughout.
    repeatable_read: bool,
    /// What a login was shown before its connection was lost.
    shown: Option<(i32, Verified)>,
    /// SQLSTATEs that the open transaction may meet without our doing.
    foreseen: Vec<&'static str>,
}

impl Visitor {
    /// A client whose choices depend on nothing but the seed.
    pub async fn new(world: Arc<World>, seed: u64) -> Self {
        let db = world.connect_as_app().await;
        Self {
            world,
            rng: Rng::with_seed(seed),
            db,
            standby: None,
            cache: None,
            seen: BTreeMap::new(),
            repeatable_read: false,
            shown: None,
            foreseen: Vec::new(),
        }
    }

    /// Goes on until the world stops.
    pub async fn run(mut self) {
        let world = Arc::clone(&self.world);
        while !world.is_stopping() {
            let may = world.may_go_on().await;
            self.world.ledger.books().operations += 1;
            if let Err(error) = self.act().await {
                self.note_failure(&error, "");
                // It was a failed request, which caches nothing.
                self.seen.clear();
                self.recover().await;
            }
            self.fill().await;
            drop(may);
            self.pause(40).await;
        }
    }

    async fn act(&mut self) -> Result<(), Error> {
        let Some(user) = self.world.some_user(&mut self.rng) else {
            return Ok(());
        };
        if let Some((user, verified)) = self.shown.take() {
            return self.log_in_belatedly(user, verified).await;
        }
        let more = self.world.options.more;
        if self.world.options.has(Trouble::Poison) && self.chance(5) {
            return self.poison(user).await;
        }
        if self.world.options.has(Trouble::Histories) && self.chance(4) {
            return self.pile_up().await;
        }
        if self.world.options.has(Trouble::Reuse) && self.chance(8) {
            return self.log_in_again(user).await;
        }
        if self.world.cache.is_some() && self.chance(25) {
            return self.browse(user).await;
        }
        match more {
            Some(More::Holds) if self.chance(20) => return self.hold(user).await,
            Some(More::Writes) if self.chance(30) => return self.change(user).await,
            Some(More::Revokes) => return self.open_or_end(user).await,
            Some(More::Leaves) if self.chance(20) => return self.log_out(user).await,
            Some(More::Reads) if self.chance(70) => return self.log_in(user).await,
            Some(More::Reads) => return self.change_one(Write::Password, user).await,
            _ => {}
        }
        match self.rng.u32(0..1000) {
            0..365 => self.log_in(user).await,
            365..375 => self.save_late(user).await,
            375..388 => {
                let to = self.world.some_user(&mut self.rng);
                self.hand_over(user, to.filter(|to| *to != user)).await
            }
            388..400 => self.hand_over(user, None).await,
            400..580 => self.change(user).await,
            580..740 => self.save(user).await,
            740..800 => self.log_out(user).await,
            800..850 => self.visit().await,
            850..890 => self.write_back(user).await,
            890..920 => self.hold(user).await,
            920..950 => self.revoke_user(user).await,
            950..977 => self.revoke_session(user).await,
            977..980 => self.revoke_all(user).await,
            _ => self.delete_user(user).await,
        }
    }

    /// Only an expiry may end sessions of every other user.
    async fn open_or_end(&mut self, user: i32) -> Result<(), Error> {
        let is_left_alone = user % 2 == 0;
        match self.rng.u32(0..100) {
            50..75 if !is_left_alone => self.change_one(Write::Password, user).await,
            75..90 if !is_left_alone => self.revoke_user(user).await,
            90..100 if !is_left_alone => self.revoke_session(user).await,
            _ => self.log_in(user).await,
        }
    }

    fn now(&self) -> Micros {
        self.world.ledger.now()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// A think time, or the time that a password hash takes. Synchronises nothing.
    async fn pause(&mut self, most_ms: u64) {
        let pause = Duration::from_micros(self.rng.u64(0..most_ms * 1000));
        tokio::time::sleep(pause).await;
    }

    /// Every so often there is no pause at all.
    async fn maybe_pause(&mut self, most_ms: u64) {
        if self.chance(50) {
            self.pause(most_ms).await;
        }
    }

    /// The newest one every other time, because most of the others have ended.
    fn some_session(&mut self, user: Option<i32>) -> Option<String> {
        let books = self.world.ledger.books();
        let recent = books.recent.get(&user)?;
        if self.rng.bool() {
            return recent.back().cloned();
        }
        self.rng.choice(recent).cloned()
    }
}
