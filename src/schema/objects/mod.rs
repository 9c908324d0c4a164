//! What is ours in the database: the functions of `sql/`, the foreign keys, the triggers on the site's tables, the
//! rights on them, and the links that are built beside the old ones to take their place.

pub(super) mod access;
mod duties;
mod files;
pub(super) mod foreign_keys;
pub(super) mod functions;
pub(super) mod key_types;
mod outgrown;
pub(super) mod preconditions;
pub(crate) mod replacement;
pub(super) mod retype;
pub(super) mod rights;
pub(super) mod triggers;
