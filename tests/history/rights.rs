//! Rights and row security that come and go, as rotation jobs and hardening scripts take them. While one is gone no
//! statement of the app's may fail; once it is back, everything has to settle.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::{Client, Error, error::SqlState};

use crate::{faults::Chaos, world::World};

/// What is taken away, and how it is put right.
struct Loss {
    what: &'static str,
    taken: &'static str,
    given_back: &'static str,
}

const LOSSES: [Loss; 7] = [
    Loss {
        what: "the sessions had another owner",
        taken: "alter table django_session owner to postgres",
        given_back: "alter table django_session owner to site_owner",
    },
    Loss {
        what: "the users had another owner",
        taken: "alter table auth_user owner to postgres",
        given_back: "alter table auth_user owner to site_owner",
    },
    Loss {
        what: "the owner might delete no session",
        taken: "revoke delete on django_session from site_owner",
        given_back: "grant delete on django_session to site_owner",
    },
    Loss {
        what: "row security on the sessions",
        taken: "alter table django_session enable row level security, force row level security",
        given_back: "alter table django_session disable row level security, no force row level security",
    },
    Loss {
        what: "the daemons might not use the schema",
        taken: "revoke usage on schema session_reaper from reaper",
        given_back: "grant usage on schema session_reaper to reaper",
    },
    Loss {
        what: "the daemons might not sweep",
        taken: "revoke execute on function session_reaper.revoke_due, session_reaper.revoke_claimed, session_reaper.sweep_free from reaper",
        given_back: "grant execute on function session_reaper.revoke_due, session_reaper.revoke_claimed, session_reaper.sweep_free to reaper",
    },
    Loss {
        what: "the daemons might mark no revocation",
        taken: "revoke update on session_reaper.revocation from reaper; revoke execute on function session_reaper.revoke_due, session_reaper.mark_revoked, session_reaper.revoke_claimed from reaper",
        given_back: "grant update on session_reaper.revocation to reaper; grant execute on function session_reaper.revoke_due, session_reaper.mark_revoked, session_reaper.revoke_claimed to reaper",
    },
];

/// A daemon that starts without its rights says so and ends; within this time it has started, on a busy machine, too.
const STARTING: Duration = Duration::from_secs(15);

impl Chaos {
    /// Takes something away for a while.
    pub async fn take_rights(&mut self) {
        let loss = &LOSSES[self.rng.usize(..LOSSES.len())];
        let begun = Instant::now();
        insist(&self.world, loss.taken).await;
        self.note(loss.what);
        let nobody_serves = self.rng.u32(0..100) < 40;
        if nobody_serves {
            // Then the app's own transactions have to do what they can.
            self.leave_alone();
        }
        self.wait(200..3000).await;
        insist(&self.world, loss.given_back).await;
        self.excuse_starters(begun.elapsed() + STARTING, STARTING);
    }
}

/// As careful people alter tables of a live site: nobody waits behind them for longer than a deadlock takes to be seen.
async fn insist(world: &World, statement: &str) {
    let client = world.connect().await;
    loop {
        match try_once(&client, statement).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
            done => return done.expect("a superuser's right"),
        }
    }
}

async fn try_once(client: &Client, statement: &str) -> Result<(), Error> {
    client.batch_execute("set lock_timeout = '900ms'").await?;
    client.batch_execute(statement).await
}
