//! A failover that keeps every commit: the standby is synchronous, and the primary dies without a word.

use std::time::Duration;

use session_reaper::demo::server::{Server, Shutdown};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_postgres::{Client, Error};

use crate::{faults::Chaos, standby::Standby};

impl Chaos {
    /// Copies the primary, keeps the copy in step for a while, kills the primary and promotes the copy.
    pub async fn fail_over(&mut self) {
        let server = self.server.take().expect("a server");
        let (server, standby) = blocking(move || {
            let standby = Standby::of(&server);
            (server, standby)
        })
        .await;
        let kept = self.keep_in_step().await;
        assert!(kept.is_ok_and(|kept| kept), "the standby is out of step");
        self.wait(300..1500).await;
        self.note("standby promoted");
        self.server = Some(blocking(move || replace(server, standby)).await);
    }

    /// From when this returns, no commit is acknowledged that the standby has not got.
    async fn keep_in_step(&mut self) -> Result<bool, Error> {
        let client = self.world.connect().await;
        client
            .batch_execute("alter system set synchronous_standby_names = '*'")
            .await?;
        client.batch_execute("select pg_reload_conf()").await?;
        for _ in 0..600 {
            if is_in_step(&client).await? {
                return Ok(true);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }
}

/// What was committed before the standby became a synchronous one has to have arrived, too.
async fn is_in_step(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_opt(
            "select pg_current_wal_lsn()::text from pg_stat_replication where sync_state = 'sync'",
            &[],
        )
        .await?;
    let Some(row) = row else {
        return Ok(false);
    };
    let written: String = row.get(0);
    let caught_up = "select from pg_stat_replication where flush_lsn >= $1::text::pg_lsn";
    for _ in 0..200 {
        if client.query_opt(caught_up, &[&written]).await?.is_some() {
            return Ok(true);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(false)
}

fn replace(mut server: Server, standby: Standby) -> Server {
    server.stop(Shutdown::Immediate).expect("a death");
    standby.promote();
    standby.take_place(&mut server);
    server
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("a server")
}
