//! Ends a user's web sessions the moment their password changes, and keeps the session table clean.
//!
//! This is the library behind the command `session-reaper`; `README.md` explains what it does, `ARCHITECTURE.md` has
//! the pictures, the tables and the glossary. It is public so that the tests can drive one part at a time; it promises
//! no stable interface.
//!
//! # Map
//!
//! The five flows, in the order in which a change travels through them:
//!
//! | room | what it does |
//! |---|---|
//! | [`link`] | finds out which user each session belongs to, so that there is something to end |
//! | [`revoke`] | hears of a change, ends the older sessions, and settles once none can come back |
//! | [`evict`] | makes caches forget what has ended |
//! | [`purge`] | deletes what has expired |
//! | [`policy`] | ends sessions beyond the number, or the lifetime, that a user may have |
//!
//! What they are built on:
//!
//! | room | what it does |
//! |---|---|
//! | [`daemon`] | puts the workers of the five flows together and runs them until a signal comes |
//! | [`worker`] | what all workers share: passes, rests, bells, telling what keeps failing |
//! | [`process`] | signals, log lines, and what the service manager is told |
//! | [`schema`] | our objects in the database: installed, checked, paused, taken out again |
//! | [`codec`] | the user in a session's data, for each framework |
//! | [`cache`] | clients of Redis, Valkey, Memcached and Django's database cache |
//! | [`connection`] | the way to the database: which one, how encrypted, one connection or a database |
//! | [`settings`] | what an operator may set, from a file, variables and a preset |
//!
//! What people see of it:
//!
//! | room | what it does |
//! |---|---|
//! | [`command`] | the command line |
//! | [`status`] | the current state, for people, scripts and Prometheus |
//! | `monitor` | the same over HTTP, for Prometheus, health checks and browsers |
//! | `doctor` | what keeps sessions from ending, or will |
//! | `canary` | the daemon's own revocation now and then, which shows whether a real one would work |
//! | `history` | what was asked for, what came of it, and why a session is still there |
//! | `demo` | the story told on a throw-away server |
//!
//! Imports run one way, from the commands down to the settings; `tests/structure` enforces that.

pub mod cache;
mod canary;
pub mod codec;
pub mod command;
pub mod connection;
pub mod daemon;
#[doc(hidden)]
pub mod demo;
mod doctor;
pub mod evict;
mod history;
pub mod link;
mod monitor;
pub mod policy;
pub mod process;
pub mod purge;
pub mod revoke;
pub mod schema;
pub mod settings;
pub mod status;
mod wording;
pub mod worker;
