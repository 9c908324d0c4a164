//! What may stand on the command line. The texts are what `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Ends a user's web sessions the moment their password changes, and keeps the session table clean.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
The database comes from DATABASE_URL, from the systemd credential database_url, or from PGHOST, PGUSER and \
the other variables that psql knows. On a Django site nothing else has to be set; other stores are named in \
the setting site.preset (SESSION_REAPER_SITE_PRESET=laravel and so on):

  session-reaper demo                        see it work on a throw-away server
  DATABASE_URL=... session-reaper migrate    install it (tables, functions, triggers)
  DATABASE_URL=... session-reaper run        and let it work

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub struct Arguments {
    /// File with settings; each is also a variable, such as SESSION_REAPER_PURGE_SCHEDULE.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "SESSION_REAPER_CONFIG"
    )]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install session-reaper in the database, or bring it up to date. Safe to repeat.
    ///
    /// Creates the schema session_reaper, foreign keys to the site's two tables and triggers on both, and on the
    /// tables that site.watch names. Each lock on a table of the site is held for milliseconds; if it is not to be had, it is
    /// tried again later, so that the site never queues behind it.
    Migrate,

    /// Run the daemon: end sessions when passwords change, purge expired ones on a schedule.
    ///
    /// SIGTERM and SIGINT stop it after the batch in hand, a second one at once; SIGHUP reads the settings
    /// again. A server that is not there yet is waited for.
    Run,

    /// Read every session from before the installation for its user, now.
    ///
    /// The daemon does that by itself in the background, with pauses; no revocation settles before it is through. This
    /// does it without the pauses, beside a daemon or without one. Interrupted, it goes on where it was.
    Link(Link),

    /// Delete expired sessions now, in batches that leave the site alone.
    Purge(Purge),

    /// End a user's sessions, or everybody's, without changing a password.
    ///
    /// Does the work itself, whether a daemon runs or not, and returns when no session that was open at
    /// the time is left.
    Revoke(Revoke),

    /// List a user's live sessions, the oldest first: when each was opened, and when it expires.
    ///
    /// A session is shown by a digest, the first 12 hex digits of the SHA-256 of its key. It tells sessions apart, and
    /// whether one that a browser or a log of the site's shows is among them: `printf %s KEY | sha256sum | cut -c 1-12`.
    /// It is no credential: nobody can log in with it, or work out the key. Only sessions that are linked to a user are
    /// known.
    Sessions {
        /// The user's key, as it stands in the user table: the id, not the name.
        user: String,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },

    /// Step back before the site's own migrations: nothing of ours then names a column of the site's.
    ///
    /// PostgreSQL refuses to change the type of a column that a trigger or a view names, and to drop or truncate a
    /// table that a foreign key refers to. So around a migration that does such a thing to the users or the sessions:
    ///
    ///   session-reaper pause && { python manage.py migrate; session-reaper resume; }
    ///
    /// Meanwhile a changed password is noted as ever, and the sessions end after resume. The daemon may go on running.
    #[command(verbatim_doc_comment)]
    Pause {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },

    /// Come back after the site's migrations, and say what was put right.
    ///
    /// Looks the site's tables up anew, gives our keys the types that the site's have now, drops links whose session
    /// or user is gone, and puts foreign keys, triggers and the view back. Without a pause it mends the same. Safe to
    /// repeat, also after it was interrupted.
    Resume {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },

    /// Say how it stands: is it installed, is it served, how much is pending, and for what it waits.
    ///
    /// Ends with 1 if it is not installed, if no daemon serves the database, or if a trigger, a foreign key or a key's
    /// type is not as it should be.
    Status(Status),

    /// Look for what keeps sessions from ending, or will, and say what to do about it.
    ///
    /// Changes nothing. Best as the role that the daemon connects as, since rights are part of it. Ends with 1 if
    /// anything fails; what is only worth knowing does not count.
    Doctor {
        /// Print one JSON array: check, verdict (ok, warn, fail) and a sentence each.
        #[arg(long)]
        json: bool,
    },

    /// Show on a throw-away PostgreSQL server what it does. Needs no database and leaves nothing behind.
    ///
    /// Needs the programs of a PostgreSQL server (Debian's package postgresql). On a terminal it stays up
    /// afterwards, for trying things out, until Ctrl-C.
    Demo(Demo),

    /// Take everything out of the database again: triggers, links, and the record of revocations.
    ///
    /// Run as the role that migrated. Stop the service first: without its tables, it complains until it is stopped.
    Uninstall {
        /// Do it without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// How to say it.
#[derive(Debug, Args)]
pub struct Status {
    /// Print one JSON object.
    #[arg(long, conflicts_with = "metrics")]
    pub json: bool,
    /// Print the figures as Prometheus reads them, for the textfile collector of node_exporter.
    #[arg(long)]
    pub metrics: bool,
}

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

/// Whose sessions to end.
#[derive(Debug, Args)]
#[command(override_usage = "session-reaper revoke [OPTIONS] <USER | --all>")]
pub struct Revoke {
    /// The user's key, as it stands in the user table: the id, not the name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub user: Option<String>,
    /// Every session that is linked to a user: the switch to throw after a breach.
    #[arg(long)]
    pub all: bool,
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

/// How to show it.
#[derive(Debug, Args)]
pub struct Demo {
    /// End by itself, even on a terminal.
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }
}
