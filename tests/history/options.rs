//! What a run is like.

use std::time::Duration;

use crate::{ledger::Micros, stand_in::StandIn};

/// What befalls the site itself, beside its daemons, network and server. All of it is put right before the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Rights and row security come and go.
    Rights,
    /// Rows fail whatever statement touches them.
    Poison,
    /// One user has thousands of revocations, and many sessions.
    Histories,
    /// The site is paused and resumed under load.
    Pauses,
    /// Keys of sessions that have just ended are somebody's again.
    Reuse,
    /// The server's clock is set back, and on again.
    Clock,
    /// Logins read what they verify from a standby, which lags behind.
    Standby,
    /// A standby is promoted that has not got the last commits.
    Loss,
    /// The site is restored from a dump on another server.
    Restore,
    /// The site moves to a server that has followed it by logical replication.
    Cutover,
}

impl Trouble {
    pub const ALL: [Self; 10] = [
        Self::Rights,
        Self::Poison,
        Self::Histories,
        Self::Pauses,
        Self::Reuse,
        Self::Clock,
        Self::Standby,
        Self::Loss,
        Self::Restore,
        Self::Cutover,
    ];

    /// Those that soaks run with unless they are told otherwise. Whoever logs in by a clock that is behind, just after a
    /// change, may have to do so again, so that runs with it are not clean of bystanders. A standby to read from follows no
    /// other one that is promoted. On another server all changes from before count as one transaction, so that a soak which
    /// moved there again and again would see less; and a subscriber gets neither prepared transactions nor tables without a
    /// key, which soaks have.
    pub const USUAL: [Self; 6] = [
        Self::Rights,
        Self::Poison,
        Self::Histories,
        Self::Pauses,
        Self::Reuse,
        Self::Loss,
    ];

    /// As `SOAK_TROUBLES` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rights => "rights",
            Self::Poison => "poison",
            Self::Histories => "histories",
            Self::Pauses => "pauses",
            Self::Reuse => "reuse",
            Self::Clock => "clock",
            Self::Standby => "standby",
            Self::Loss => "loss",
            Self::Restore => "restore",
            Self::Cutover => "cutover",
        }
    }
}

/// What clients do more often, where one promise is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Hold rows in overlapping turns.
    Holds,
    /// Ask to keep a session.
    Keeps,
    /// Write about users what is no password.
    Writes,
    /// Verify for long and write briefly, while nobody else writes for long.
    Reads,
    /// End sessions of half of the users, and log all of them in again.
    Revokes,
    /// Log out in long transactions, and come back meanwhile.
    Leaves,
}

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub run_for: Duration,
    pub clients: u64,
    pub users: usize,
    /// Sessions from before the installation. Where there are any, the whole table is read again now and then.
    pub before: usize,
    pub grace_s: u64,
    pub two_phase: bool,
    pub daemons: usize,
    pub faults: bool,
    /// Standbys are promoted as well, which takes seconds.
    pub failovers: bool,
    /// Deliberately breaks what is installed.
    pub sabotage: String,
    /// The site caches its sessions beside their table.
    pub cached: bool,
    /// Nothing of ours is installed.
    pub control: bool,
    /// Takes the place of the daemons.
    pub stand_in: Option<StandIn>,
    /// What clients do more often.
    pub more: Option<More>,
    /// What befalls the site itself.
    pub troubles: Vec<Trouble>,
    /// How often the sessions of one user have been ended before the run, with [`Trouble::Histories`].
    pub histories: usize,
}

impl Options {
    /// An intact, short run.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            seed,
            run_for: Duration::from_secs(8),
            clients: 30,
            users: 16,
            before: 0,
            grace_s: 0,
            two_phase: false,
            daemons: 2,
            faults: true,
            failovers: false,
            sabotage: String::new(),
            cached: false,
            control: false,
            stand_in: None,
            more: None,
            troubles: Vec::new(),
            histories: 300,
        }
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Whether the last commits may be lost with their server.
    pub fn loses(&self) -> bool {
        self.has(Trouble::Loss) || self.has(Trouble::Restore)
    }

    /// Whether connections may be lost with their server.
    pub fn servers_end(&self) -> bool {
        self.faults || self.loses() || self.has(Trouble::Cutover)
    }

    /// Of the site. One that knows no encoding takes what no other one would.
    pub fn database(&self) -> &'static str {
        if self.has(Trouble::Poison) {
            "sql_ascii"
        } else {
            "postgres"
        }
    }

    /// How long a session lives that nobody saves.
    pub fn lifetime(&self) -> Micros {
        let seconds = match self.more {
            Some(More::Revokes) => 3,
            _ => 14 * 86_400,
        };
        seconds * 1_000_000
    }
}
