//! The process itself: signals, log lines, and what the service manager is told.

pub(crate) mod fitness;
pub(crate) mod logging;
pub mod pulse;
pub(crate) mod repeated;
pub(crate) mod service_manager;
pub mod shutdown;
