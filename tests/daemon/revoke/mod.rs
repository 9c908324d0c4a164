//! From a change to the end of every older session (P1, P2), with a daemon and without one (P4).

mod age;
mod clock;
mod fails_closed;
mod password_change;
mod poison;
mod quiet;
mod rekeyed;
mod renamed;
mod settling;
mod standby_reads;
mod told;
mod trail;
mod watch;
