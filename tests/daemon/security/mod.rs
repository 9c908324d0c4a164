//! What somebody may try who has a role, or nothing but a connection, and what he learns.

mod hostile;
mod roles;
mod secrecy;
mod stolen;
mod strangers;
