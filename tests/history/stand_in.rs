//! A daemon of the test's own, for what cannot be broken from inside the database: whether the mark and the
//! deletion travel in one transaction. It dies as often as the real one is killed, and always in between.
//!
//! It settles by waiting longer than any login takes, which is good enough for a test and for nothing else.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::time::sleep;
use tokio_postgres::{Client, Error};

use crate::world::World;

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    OneTransaction,
    TwoTransactions,
}

const DUE: &str = "select coalesce(array_agg(r.id), '{}')
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    where r.state <> 'settled' and c.at < clock_timestamp() - interval '1500 ms'";
const DELETE: &str = "select session_reaper.sweep($1, 10000, false)";
const MARK: &str = "update session_reaper.revocation r
    set state = 'settled', settled_at = clock_timestamp(), changed_in = c.xid, changed_at = c.at
    from session_reaper.change c
    where c.id = r.change_id and r.id = any ($1)";
const NOTHING_LEFT: &str = "and not r.id = any (session_reaper.unfinished($1))";

/// Serves until it is aborted.
pub async fn serve(world: Arc<World>, kind: StandIn) {
    let mut rng = Rng::with_seed(world.options.seed);
    loop {
        let client = world.connect().await;
        // Whatever it was, the next life begins with a new connection.
        while let Ok(true) = pass(&client, kind, &mut rng).await {
            sleep(Duration::from_millis(50)).await;
        }
        world.ledger.books().count("fault: stand-in died");
    }
}

/// Says whether it is still alive.
async fn pass(client: &Client, kind: StandIn, rng: &mut Rng) -> Result<bool, Error> {
    // The lock by which the app's transactions know that they need not end sessions themselves.
    client
        .execute("select pg_advisory_lock_shared(1397903442, 1)", &[])
        .await?;
    let due: Vec<i64> = client.query_one(DUE, &[]).await?.get(0);
    let dies = rng.u32(0..10) == 0;
    if kind == StandIn::TwoTransactions {
        client.execute(MARK, &[&due]).await?;
        if dies {
            return Ok(false);
        }
        client.execute(DELETE, &[&due]).await?;
        return Ok(true);
    }
    client.batch_execute("begin").await?;
    client.execute(DELETE, &[&due]).await?;
    if dies {
        return Ok(false);
    }
    let mark = format!("{MARK} {NOTHING_LEFT}");
    client.execute(&mark, &[&due]).await?;
    client.batch_execute("commit").await?;
    Ok(true)
}
