//! What the daemon needs in the database, and how it gets there.
//!
//! - `site/`: what is found of the site: its tables, columns and types, and the names to fill into `sql/`.
//! - `objects/`: what is ours. Functions from `sql/`, foreign keys, triggers on the site's tables, rights.
//! - `shape.rs`: the tables, from `migrations/`.
//! - `state.rs`: which version is installed, and whether it is paused. `check/` holds an installation against the settings.
//! - The acts, one file each: `migrate`, `pause`, `resume`, `uninstall`. `turn.rs` has them take turns, `lock.rs` takes
//!   locks on the site's tables without making other transactions queue behind us.

mod act;
mod arrival;
mod check;
mod error;
mod lock;
mod migrate;
mod new_role;
pub(crate) mod objects;
mod origin;
mod pause;
mod preview;
mod resume;
mod shape;
pub(crate) mod site;
mod state;
mod turn;
mod uninstall;
mod unlinked;
mod unusable;

pub(crate) use arrival::database;
pub use check::{check, check_expiry, evicts, faults};
pub use error::Error;
#[doc(hidden)]
pub use lock::wait_for_turn;
pub use migrate::{Installed, migrate, migrate_to};
pub use new_role::create_role;
pub use objects::{access::of_daemon as missing_rights, functions::differing};
pub use origin::adopt_ids;
pub use pause::pause;
pub use preview::preview;
pub use resume::{Resumed, resume};
pub use shape::newest_version;
pub use site::{
    Site,
    catalog::user_column,
    expiry::Expiry,
    table::{Column, Table},
    template::quote_identifier,
    user_source::UserSource,
    watch::Watch,
};
pub use state::{Pause, current_pause, installed, installed_version};
pub use turn::lock_within;
pub use uninstall::{uninstall, what_is_installed};
pub use unusable::Unusable;

/// First half of the key of each of our advisory locks; `sql/serving.sql` knows it, too. Any role that may connect can
/// take any such lock, so work that has to go on must not wait for a number that others can know beforehand.
pub const LOCK_CLASS: i32 = 1_397_903_442;
