//! What the clients know of what they did. Nothing here is read from session-reaper's own tables: the checker
//! judges by what was sent and answered when, and by the password generation that a login was shown.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

pub use crate::change::{Cause, Change};
use crate::{backfills::Backfills, cache::Entries, saves::Register};

/// Microseconds since the run began.
pub type Micros = u64;

/// When a statement was sent and when its answer had come: it took effect somewhere in between.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub sent: Micros,
    pub returned: Micros,
}

/// A session that exists because its transaction committed.
#[derive(Clone, Debug)]
pub struct Login {
    pub key: String,
    /// Nobody, for an anonymous session.
    pub user: Option<i32>,
    /// The client's own number of the transaction that linked it.
    pub transaction: i64,
    pub kind: String,
    /// The password generation that was verified.
    pub generation: i64,
    /// The credential version was read beside the password and handed back.
    pub versioned: bool,
    /// Verified in one transaction and inserted in another.
    pub split: bool,
    /// The password was read.
    pub read: Span,
    /// The linking transaction began.
    pub begin: Span,
    /// The statement whose snapshot the link was made under.
    pub sight: Span,
    /// It was known to have committed.
    pub known: Micros,
    /// Of a session that is only read for its user: when the earliest of the other transactions began that wrote it.
    /// The session does not say which of them brought the user, and where that leaves a doubt it counts as older.
    pub first_write: Option<Micros>,
    /// Who was logged in to it before, and whose login that was.
    pub previous: Option<usize>,
}

/// A session that was written back after it had been deleted.
#[derive(Clone, Copy, Debug)]
pub struct WriteBack {
    /// It was last seen there by a query that was sent then.
    pub last_seen: Micros,
    pub written: Micros,
}

/// Everything that is known, for clients and checker alike.
#[derive(Default)]
pub struct Books {
    pub logins: Vec<Login>,
    pub by_key: HashMap<String, usize>,
    /// The places of logins that no server knows of any more.
    pub lost: HashSet<usize>,
    /// By user, those of everybody under `None`, each in the order in which they were known.
    pub changes: HashMap<Option<i32>, Vec<Change>>,
    /// Logged out, revoked by name or replaced by a client: their end proves nothing.
    pub removed: HashSet<String>,
    /// Revoked by name, for certain, and by which transaction.
    pub revoked_by_name: HashMap<String, i64>,
    pub written_back: HashMap<String, WriteBack>,
    /// Sessions that are believed to exist, and what each was when it was found to be gone.
    pub believed: HashSet<String>,
    /// The place of its login, since its key may be somebody else's again.
    pub gone: Vec<(usize, Micros)>,
    /// A few sessions of each user, to work with.
    pub recent: HashMap<Option<i32>, VecDeque<String>>,
    /// Users that exist.
    pub users: Vec<i32>,
    pub counts: BTreeMap<String, u64>,
    /// What the monitor has seen that must not be.
    pub survivors: BTreeMap<String, String>,
    /// What it has seen that no schema can see.
    pub excused: HashSet<String>,
    /// Sessions that are becoming somebody else's: whose they are is not known.
    pub in_flux: HashSet<String>,
    /// Keys that have been somebody's again right after a session under them had ended.
    pub reused: HashSet<String>,
    /// Numbers of the transactions that found no daemon and ended sessions themselves.
    pub unserved: HashSet<String>,
    /// What sessions have to contain, and until when.
    pub saves: Register,
    pub backfills: Backfills,
    /// Logins by key and transaction that may have been read while the table was being read.
    pub of_unknown_age: HashSet<(String, i64)>,
    /// Statements of the app's that failed because of us.
    pub failed: Vec<String>,
    /// Statements of the app's that were a deadlock's victims.
    pub deadlocks: u64,
    /// What clients have done, whatever came of it.
    pub operations: u64,
    /// What is known of the cache, where there is one.
    pub cache: Entries,
}

impl Books {
    pub fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub fn add_login(&mut self, login: Login) {
        self.count(if login.user.is_some() {
            "logins"
        } else {
            "anonymous sessions"
        });
        if login.first_write.is_some() {
            self.count("logins that nobody links");
        }
        if login.previous.is_some() {
            self.count("sessions that change hands");
        }
        self.count(&format!("login: {}", login.kind));
        if self.backfills.may_meet(login.begin.sent) {
            self.note_unknown_age(&login);
        }
        let recent = self.recent.entry(login.user).or_default();
        recent.push_back(login.key.clone());
        if recent.len() > 20 {
            recent.pop_front();
        }
        self.believed.insert(login.key.clone());
        self.by_key.insert(login.key.clone(), self.logins.len());
        self.logins.push(login);
    }

    pub fn add_change(&mut self, change: Change) {
        self.count("changes");
        self.count(&format!("changes, {}", change.cause.reason()));
        self.count(&format!("change: {}", change.kind));
        let changes = self.changes.entry(change.user).or_default();
        let place = changes.partition_point(|other| other.published <= change.published);
        changes.insert(place, change);
    }

    /// It may count as older than every change, unless the app has linked it itself.
    pub fn note_unknown_age(&mut self, login: &Login) {
        let names = (login.key.clone(), login.transaction);
        if login.first_write.is_some() && self.of_unknown_age.insert(names) {
            self.count("logins that count as from before all changes");
        }
    }

    /// The login as it may look to whoever has to end it.
    pub fn as_read(&self, login: &Login) -> Login {
        let names = (login.key.clone(), login.transaction);
        let mut login = login.clone();
        if self.of_unknown_age.contains(&names) {
            login.first_write = Some(0);
        }
        login
    }

    /// A transaction that began then has written it.
    pub fn note_write(&mut self, key: &str, began: Micros) {
        if let Some(index) = self.by_key.get(key) {
            let first = &mut self.logins[*index].first_write;
            *first = first.map(|first| first.min(began));
        }
    }

    /// It is not this user's any more.
    pub fn forget_recent(&mut self, key: &str, user: i32) {
        if let Some(recent) = self.recent.get_mut(&Some(user)) {
            recent.retain(|other| other != key);
        }
    }

    /// A session that was believed to exist was found gone.
    pub fn note_gone(&mut self, key: &str, seen: Micros) {
        if self.believed.remove(key) {
            self.gone
                .extend(self.by_key.get(key).map(|login| (*login, seen)));
        }
        let user = self.login(key).and_then(|login| login.user);
        if let Some(recent) = self.recent.get_mut(&user) {
            recent.retain(|other| other != key);
        }
    }

    pub fn login(&self, key: &str) -> Option<&Login> {
        self.by_key.get(key).map(|index| &self.logins[*index])
    }

    /// The changes that may concern a session: those of its user and of everybody that were known after the login
    /// began, the latest of each first. None for a session that is nobody's.
    pub fn changes_since(&self, login: &Login) -> impl Iterator<Item = &Change> {
        let begun = login.begin.sent.min(login.read.sent);
        let earliest = begun.min(login.first_write.unwrap_or(begun));
        let of = login.user.map(|user| [Some(user), None]);
        of.into_iter()
            .flatten()
            .filter_map(|user| self.changes.get(&user))
            .flat_map(move |changes| {
                let first = changes.partition_point(|change| change.published < earliest);
                changes[first..].iter().rev()
            })
    }
}

/// The books, and the clock that their times are told by.
pub struct Ledger {
    books: Mutex<Books>,
    epoch: Instant,
    /// The same moment by the clock on the wall, in whole microseconds, as the database has it.
    epoch_on_the_wall: SystemTime,
}

impl Ledger {
    pub fn new() -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let whole = Duration::from_micros(u64::try_from(since_1970.as_micros()).unwrap());
        Self {
            books: Mutex::default(),
            epoch: Instant::now(),
            epoch_on_the_wall: SystemTime::UNIX_EPOCH + whole,
        }
    }

    /// What the clock on the wall shows then.
    pub fn wall(&self, at: Micros) -> SystemTime {
        self.epoch_on_the_wall + Duration::from_micros(at)
    }

    /// When it shows that.
    pub fn micros(&self, at: SystemTime) -> Micros {
        let since = at.duration_since(self.epoch_on_the_wall).unwrap();
        u64::try_from(since.as_micros()).unwrap()
    }

    pub fn now(&self) -> Micros {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap()
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}
