//! Every way to log in and to write about users: drawn at random, one dimension at a time.

use super::{Visitor, transaction::Ending, write::Write};
use crate::options::{More, Trouble};

/// How a client logs in.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoginPlan {
    pub(super) repeatable_read: bool,
    pub(super) split: bool,
    pub(super) versioned: bool,
    /// The session exists before anybody is logged in to it.
    pub(super) anonymous_first: bool,
    pub(super) savepoint: bool,
    /// Inserts into the table itself instead of calling the function.
    pub(super) inserts: bool,
    pub(super) slow: bool,
    pub(super) ending: Ending,
}

impl LoginPlan {
    pub(super) fn name(self) -> String {
        let parts = [
            (self.repeatable_read, "repeatable read"),
            (
                self.split && self.versioned,
                "two transactions with version",
            ),
            (
                self.split && !self.versioned,
                "two transactions without version",
            ),
            (self.ending == Ending::CommitPrepared, "two-phase"),
            (self.slow, "slow"),
        ];
        name(&parts)
    }
}

/// How a client logs in to a session that it does not link.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPlan {
    pub(super) repeatable_read: bool,
    /// The password is verified in a transaction of its own.
    pub(super) split: bool,
    /// The user is written by a statement that is its own transaction.
    pub(super) autocommit: bool,
    /// The session is committed before anybody is logged in to it.
    pub(super) anonymous_first: bool,
    /// There is something in it then.
    pub(super) has_cart: bool,
    /// The session is empty at first, in the transaction that logs in.
    pub(super) inserts_empty: bool,
    pub(super) savepoint: bool,
    /// The user is written, taken back, and written again.
    pub(super) savepoint_back: bool,
    pub(super) slow: bool,
    pub(super) ending: Ending,
}

impl ReadPlan {
    pub(super) fn name(self) -> String {
        let parts = [
            (self.repeatable_read, "repeatable read"),
            (self.autocommit, "autocommit"),
            (self.split && !self.autocommit, "two transactions"),
            (self.anonymous_first, "in an anonymous session"),
            (self.savepoint_back, "savepoint rolled back"),
            (self.ending == Ending::CommitPrepared, "two-phase"),
            (self.slow, "slow"),
        ];
        name(&parts)
    }
}

/// What one transaction does.
#[derive(Clone, Debug)]
pub(super) struct ChangePlan {
    pub(super) write: Write,
    pub(super) users: Vec<i32>,
    pub(super) repeatable_read: bool,
    /// All users in one statement.
    pub(super) bulk: bool,
    pub(super) immediate: bool,
    /// A savepoint around some of the changes, and whether they are taken back.
    pub(super) savepoint: Option<bool>,
    /// A session, and whether its digest is given instead of its key.
    pub(super) keep: Option<(String, bool)>,
    pub(super) opens: bool,
    pub(super) opens_first: bool,
    /// Saves a session of the user's, too, as whatever runs in a request does.
    pub(super) saves: bool,
    pub(super) slow: bool,
    pub(super) ending: Ending,
}

impl ChangePlan {
    pub(super) fn name(&self) -> String {
        let parts = [
            (self.users.len() > 1 && self.bulk, "bulk"),
            (self.users.len() > 1 && !self.bulk, "several"),
            (self.repeatable_read, "repeatable read"),
            (self.immediate, "constraints immediate"),
            (self.savepoint == Some(true), "savepoint rolled back"),
            (self.savepoint == Some(false), "savepoint released"),
            (self.keep.is_some(), "keeps"),
            (self.opens, "opens"),
            (self.saves, "saves"),
            (self.ending == Ending::CommitPrepared, "two-phase"),
            (self.slow, "slow"),
        ];
        name(&parts)
    }
}

fn name(parts: &[(bool, &str)]) -> String {
    let names: Vec<&str> = parts
        .iter()
        .filter(|part| part.0)
        .map(|part| part.1)
        .collect();
    if names.is_empty() {
        "plain".to_owned()
    } else {
        names.join(", ")
    }
}

impl Visitor {
    pub(super) fn plan_login(&mut self) -> LoginPlan {
        // Where they read from a standby, or from a server that is lost then, only a version tells that they may have seen too
        // little, and only one that begins its transaction afterwards needs it.
        let options = &self.world.options;
        let needs_versions = options.has(Trouble::Standby) || options.loses();
        let split = self.chance(if needs_versions { 70 } else { 20 });
        LoginPlan {
            repeatable_read: self.chance(15),
            split,
            versioned: self.chance(if split { 80 } else { 10 }),
            anonymous_first: self.chance(15),
            savepoint: self.chance(10),
            inserts: self.chance(40),
            slow: self.chance(50),
            ending: self.draw_ending(5),
        }
    }

    pub(super) fn plan_read(&mut self) -> ReadPlan {
        let split = self.chance(15);
        let autocommit = split && self.chance(50);
        let anonymous_first = autocommit || self.chance(40);
        ReadPlan {
            repeatable_read: !autocommit && self.chance(15),
            split,
            autocommit,
            anonymous_first,
            has_cart: self.chance(40),
            inserts_empty: self.chance(50),
            savepoint: !autocommit && self.chance(10),
            savepoint_back: !autocommit && self.chance(10),
            slow: self.chance(50),
            ending: if autocommit {
                Ending::Commit
            } else {
                self.draw_ending(5)
            },
        }
    }

    pub(super) fn plan_change(&mut self, user: i32) -> ChangePlan {
        let mut users = vec![user];
        if self.chance(20) {
            let more = self.rng.usize(1..6);
            users.extend((0..more).filter_map(|_| self.world.some_user(&mut self.rng)));
            users.sort_unstable();
            users.dedup();
        }
        let keeps = self.world.options.more == Some(More::Keeps);
        let keep = if self.chance(if keeps { 80 } else { 30 }) {
            self.some_session(Some(user))
        } else {
            None
        };
        ChangePlan {
            write: self.draw_write(),
            users,
            repeatable_read: self.chance(15),
            bulk: self.chance(50),
            immediate: self.chance(15),
            savepoint: if self.chance(20) {
                Some(self.chance(50))
            } else {
                None
            },
            keep: keep.map(|key| (key, self.chance(50))),
            opens: self.chance(30),
            opens_first: self.chance(30),
            saves: self.chance(15),
            slow: self.chance(40),
            ending: self.draw_ending(15),
        }
    }
}
