//! The daemon as one process among others: it dies, it is replaced, it shares the work, and it looks after itself.

mod bounded;
mod crash;
mod inspection;
mod passing;
mod replicas;
mod rolling;
mod smaller;
