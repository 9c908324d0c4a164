//! What the daemon needs in the database, and how it gets there.
//!
//! Three homes, one rule each: the *shape* of the data is in `migrations/` and only ever added to; the
//! *behaviour* inside the database is in `sql/`, applied after every migration where it differs; the
//! triggers on the *site's* tables are attached one table a transaction, because they lock it.

mod behaviour;
pub(crate) mod built;
mod catalog;
mod check;
mod error;
mod expiry;
mod keys;
mod migrate;
mod patience;
mod pause;
mod reading;
mod references;
mod resume;
mod rights;
mod site;
mod template;
mod triggers;
mod turn;
mod uninstall;
mod unlinked;
mod watch;

pub use behaviour::differing;
pub use check::{check, check_expiry, faults, installed, installed_version};
pub use error::Error;
pub use expiry::Expiry;
pub use migrate::{Installed, migrate, migrate_to, newest_version};
pub use pause::{Pause, current as current_pause, pause};
pub use reading::Reading;
pub use resume::{Resumed, resume};
pub use site::{Column, Site, Table};
pub use template::quote_identifier;
pub use turn::lock_within;
pub use uninstall::uninstall;
pub use watch::Watch;

/// First half of the key of every advisory lock of ours; `sql/serving.sql` knows it, too. Any role that may connect can
/// take any such lock, so nothing that has to go on may wait for a number that can be known beforehand.
pub const LOCK_CLASS: i32 = 1_397_903_442;
/// Held while the schema is changed: refinery takes no lock of its own, and at first there is no table to lock a row of.
const MIGRATING_LOCK: i32 = 2;
