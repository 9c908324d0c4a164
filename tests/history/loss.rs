//! A failover that loses commits: the standby lags behind, what the primary has acknowledged meanwhile dies with it, and
//! the standby is promoted. Transaction ids, numbers and passwords of what is lost are given out once more.

use std::time::Duration;

use session_reaper::demo::server::{Server, Shutdown};
use tokio::time::sleep;
use tokio_postgres::{Client, Error};

use crate::{
    failover::blocking,
    faults::Chaos,
    ledger::Micros,
    rewind::{self, Kept},
    standby::Standby,
};

impl Chaos {
    /// Copies the primary, keeps the copy from what comes next, kills the primary and promotes the copy.
    pub async fn lose_commits(&mut self) {
        let server = self.server.take().expect("a server");
        let (server, standby) = blocking(move || {
            let standby = Standby::of(&server);
            (server, standby)
        })
        .await;
        let safe = self.cut_off(&standby).await.expect("a standby");
        self.wait(100..1200).await;
        self.note("standby promoted that had not got everything");
        let everybody = self.world.stop_everybody();
        let (server, standby) = blocking(move || outlive(server, standby)).await;
        self.roll_back_prepared(&standby).await.expect("a primary");
        self.server = Some(blocking(move || take_place(server, standby)).await);
        let everybody = everybody.await.expect("everybody at rest");
        let client = self.world.connect().await;
        let kept = Kept::ask(&self.world, &client, safe).await;
        rewind::rewind(&self.world, safe, &kept.expect("what is left"));
        if let Some(cache) = &self.world.cache {
            cache.empty().await;
        }
        drop(everybody);
    }

    /// Says from when on what is acknowledged may not reach the standby.
    async fn cut_off(&mut self, standby: &Standby) -> Result<Micros, Error> {
        let (client, behind) = (self.world.connect().await, self.connect_to(standby).await);
        let safe = self.world.ledger.now();
        let row = client
            .query_one("select pg_current_wal_flush_lsn()::text", &[])
            .await?;
        let written: String = row.get(0);
        let arrived = "select pg_last_wal_receive_lsn() >= $1::text::pg_lsn";
        until(&behind, arrived, &[&written]).await?;
        let cut = "alter system set primary_conninfo to ''";
        behind.batch_execute(cut).await?;
        behind.batch_execute("select pg_reload_conf()").await?;
        let is_cut = "select not exists (select from pg_stat_wal_receiver)";
        until(&behind, is_cut, &[]).await?;
        Ok(safe)
    }
}

impl Chaos {
    async fn connect_to(&self, standby: &Standby) -> Client {
        standby.connect(self.world.options.database()).await
    }

    /// How they ended is lost, and whoever prepared them may believe that they have. Before any client gets there: one of
    /// them could hold up another for ever.
    async fn roll_back_prepared(&self, standby: &Standby) -> Result<(), Error> {
        let client = self.connect_to(standby).await;
        let prepared = "select format('rollback prepared %L', gid) from pg_prepared_xacts";
        for row in client.query(prepared, &[]).await? {
            client.batch_execute(row.get(0)).await?;
        }
        Ok(())
    }
}

/// Waits for an answer of true.
pub async fn until(
    client: &Client,
    question: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<(), Error> {
    let becomes_true = becomes_true(client, question, parameters).await?;
    assert!(becomes_true, "not within five minutes: {question}");
    Ok(())
}

/// Waits for an answer of true, but not for ever.
pub async fn becomes_true(
    client: &Client,
    question: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<bool, Error> {
    for _ in 0..30_000 {
        let answer: Option<bool> = client.query_one(question, parameters).await?.get(0);
        if answer == Some(true) {
            return Ok(true);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(false)
}

fn outlive(mut server: Server, standby: Standby) -> (Server, Standby) {
    server.stop(Shutdown::Immediate).expect("a death");
    standby.promote();
    (server, standby)
}

fn take_place(mut server: Server, standby: Standby) -> Server {
    standby.take_place(&mut server);
    server
}
