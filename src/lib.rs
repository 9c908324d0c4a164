#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! Modules stand in the order in which a change travels through them.

mod backoff;
mod bell;
pub mod building;
pub mod cache;
pub mod codec;
pub mod command;
pub mod connection;
pub mod daemon;
pub mod demo;
mod doctor;
mod eviction;
pub mod evictor;
mod fitness;
mod grace;
mod horizon;
mod inspector;
pub mod listener;
mod listening;
mod logging;
pub mod purger;
pub mod reader;
mod reading;
pub mod requester;
mod revocation;
pub mod revoker;
pub mod schedule;
pub mod schema;
pub mod settings;
pub mod settler;
pub mod shutdown;
pub mod status;
mod supervisor;
mod verifier;
mod wording;
pub mod worker;
