//! The way to the server: through poolers, over TLS, when it is lost, and when another server takes over.

mod failover;
mod outage;
mod patroni;
mod pooler;
mod tls;
