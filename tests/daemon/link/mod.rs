//! Whose a session is: read from what the app writes, in time for every revocation.

mod beside;
mod dating;
mod handed_over;
mod json_path;
mod linking;
mod poisoned_rows;
mod queue;
mod replicated;
mod stale_hash;
