//! The commands, each with what can be said of it.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    acts::{Demo, Link, Policies, Purge, Revoke},
    reports::{Doctor, Explain, History, Sessions, Status},
};

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install session-reaper in the database, or bring it up to date. Safe to repeat.
    ///
    /// Creates the schema session_reaper, foreign keys to the site's two tables and triggers on both, and on the tables that
    /// site.watch names. Each lock on a table of the site is held for milliseconds; if the lock cannot be had, it is tried
    /// again later, so that the site never queues behind it.
    Migrate {
        /// First create this role for the daemon, with nothing but the right to log in; it has to be site.daemon_role.
        ///
        /// The role that migrates has to be allowed to: a superuser is, and so is a role with CREATEROLE. A role that
        /// exists already stays as it is.
        #[arg(long, value_name = "NAME", conflicts_with = "print")]
        create_role: Option<String>,
        /// Only print the SQL that would be run, so that it can be read first.
        #[arg(long)]
        print: bool,
    },

    /// Run the daemon: end sessions when passwords change, purge expired ones on a schedule.
    ///
    /// SIGTERM and SIGINT stop it after the current batch, a second one at once; SIGHUP reads the settings again. Waits
    /// for a server that is not there yet.
    Run {
        /// Only read the settings, and end with 2 if they are wrong: a reload would leave the old ones in force.
        #[arg(long)]
        check: bool,
    },

    /// Print the settings that are in force, and where each came from: file, variable, preset or default.
    ///
    /// In the form of a file of settings, without secrets. Asks no database.
    Config {
        /// Only read this file, in place of the one in force, and end with 2 if it is wrong.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "site"])]
        check: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },

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
    /// the time is left. Ends with 3 where that is not certain in time: what is known has ended, but a
    /// transaction that was open at the time, or a cache that does not answer, may still have a session.
    Revoke(Revoke),

    /// Enforce the policies now: how many sessions a user may have, and for how long, as the policy settings say.
    ///
    /// The daemon does that by itself, a second or two after a login, and every minute for sessions that have grown too
    /// old.
    Policies(Policies),

    /// List a user's live sessions, the oldest first: when each was opened, and when it expires.
    ///
    /// A session is shown by a digest, the first 12 hex digits of the SHA-256 of its key. It tells sessions apart, and
    /// whether one that a browser or the site's log shows is among them: `printf %s KEY | sha256sum | cut -c 1-12`. It
    /// is no credential: nobody can log in with it, or work out the key. Only sessions that are linked to a user are
    /// known.
    Sessions(Sessions),

    /// List revocations, the newest first: who asked, what ended, how long it took, and what an open one waits for.
    ///
    /// Records are kept for purge.retention_d days after a revocation has settled.
    History(History),

    /// Say for each session of a user which rule keeps it or will end it, and for each revocation what it did.
    Explain(Explain),

    /// Step back before the site's own migrations: none of our objects then names a column of the site.
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

    /// Say how it stands: is it installed, is it served, how much is pending, and what does it wait for.
    ///
    /// Ends with 1 if it is not installed, if no daemon serves the database, or if a trigger, a foreign key or a key's
    /// type is not as it should be.
    Status(Status),

    /// Look for what keeps sessions from ending, or will, and say what to do about it.
    ///
    /// Changes nothing. Best as the role that the daemon connects as, since rights are part of it. Ends with 1 if
    /// anything fails; what is only worth knowing does not count. Each finding has a name, by which the setting
    /// doctor.silence can take it for known.
    Doctor(Doctor),

    /// Show on a throw-away PostgreSQL server what it does. Needs no database and leaves nothing behind.
    ///
    /// Needs the programs of a PostgreSQL server (Debian's package postgresql). On a terminal it stays up
    /// afterwards, for trying things out, until Ctrl-C.
    Demo(Demo),

    /// Take everything out of the database again: triggers, links, and the record of revocations.
    ///
    /// Run as the role that migrated. Stop the service first: refused while a daemon serves the database.
    Uninstall {
        /// Do it without asking.
        #[arg(long)]
        yes: bool,
        /// Only say what would be taken out.
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
}
