//! Options of the commands that do something.

use clap::Args;

use super::User;

/// What to read.
#[derive(Debug, Args)]
pub struct Link {
    /// Read all sessions once more, although all have been read.
    #[arg(long)]
    pub again: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How to purge.
#[derive(Debug, Args)]
pub struct Purge {
    /// Count what would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How to enforce.
#[derive(Debug, Args)]
pub struct Policies {
    /// Only say who would be logged out, and why, and end nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON: with --dry-run an array of sessions, each with user, digest, reason and opened_at; else one object.
    #[arg(long)]
    pub json: bool,
}

/// Whose sessions to end.
#[derive(Debug, Args)]
#[command(override_usage = "session-reaper revoke [OPTIONS] <USER | --all>")]
pub struct Revoke {
    /// The user's key, as it stands in the user table: the id, not the name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub user: Option<String>,
    /// USER is the value in this column of the user table instead: --by username, --by email.
    #[arg(long, value_name = "COLUMN", requires = "user")]
    pub by: Option<String>,
    /// Every session that is linked to a user: the switch to throw after a breach.
    #[arg(long)]
    pub all: bool,
    /// With --all: end nothing, and say how many sessions would end, how long that takes, and how many logins will
    /// follow.
    ///
    /// The first batch is ended in a transaction that is rolled back, which locks its sessions for as long as the real one
    /// would; the others are counted.
    #[arg(long, requires = "all", conflicts_with = "user")]
    pub rehearse: bool,
    /// With --all: end at most this many sessions a second, so that the logins that follow do not come all at once.
    #[arg(long, value_name = "COUNT", requires = "all", conflicts_with = "user", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub per_second: Option<u32>,
    /// Goes into the record of revocations.
    #[arg(long, default_value = "requested")]
    pub reason: String,
    /// How long to wait for transactions that were open at the time, in seconds since the last session ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait_s: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Revoke {
    /// The user, if not all users are meant.
    pub fn user(&self) -> Option<User> {
        let user = self.user.clone()?;
        let by = self.by.clone();
        Some(User { user, by })
    }
}

/// How to show it.
#[derive(Debug, Args)]
pub struct Demo {
    /// End by itself, even on a terminal.
    #[arg(long)]
    pub once: bool,
}
