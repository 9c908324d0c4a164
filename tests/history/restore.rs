//! The site restored from a dump into another server, whose transaction ids begin anew, while the daemons run and find it
//! half restored. What was committed after the dump is lost.

use std::time::Duration;

use session_reaper::demo::server::{Server, Shutdown};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::{
    dump::Dump,
    failover::blocking,
    faults::Chaos,
    rewind::{self, Kept},
    run::start_server,
    site,
};

/// How long the daemons may take to find out that the transaction ids are of another server.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon that starts on a site that is not complete says so and ends. It may have waited for its network until then.
const STARTING: Duration = Duration::from_secs(45);

impl Chaos {
    /// Dumps the site, loses its server, restores it on another one.
    pub async fn restore(&mut self) {
        let new = self.another_server().await;
        let safe = self.world.ledger.now();
        let dump = self.dump().await;
        self.wait(0..1000).await;
        self.note("site restored from a dump");
        let (everybody, begun) = (self.world.stop_everybody(), Instant::now());
        let mut old = self.server.take().expect("a server");
        let old = blocking(move || old.stop(Shutdown::Immediate).map(|()| old)).await;
        self.proxy.point_at(new.port());
        let pauses = self.draw_pauses();
        let new = blocking(move || dump.restore(new, &pauses)).await;
        self.world.logins.move_to(&new);
        self.server = Some(new);
        drop(old);
        self.excuse_starters(begun.elapsed() + STARTING, STARTING);
        let everybody = everybody.await.expect("everybody at rest");
        let client = self.world.connect().await;
        self.is_adopted(&client).await;
        let kept = Kept::ask(&self.world, &client, safe).await;
        rewind::rewind(&self.world, safe, &kept.expect("what is left"));
        self.world.ledger.books().forget_numbers();
        if let Some(cache) = &self.world.cache {
            cache.empty().await;
        }
        drop(everybody);
    }

    /// One for the site, with an empty database.
    pub(crate) async fn another_server(&self) -> Server {
        let options = self.world.options.clone();
        let server = blocking(move || start_server(&options, None)).await;
        site::create_database(&server, &self.world.options).await;
        server
    }

    pub(crate) async fn dump(&mut self) -> Dump {
        let server = self.server.take().expect("a server");
        let database = self.world.options.database();
        let (server, dump) = blocking(move || {
            let dump = Dump::of(&server, database);
            (server, dump)
        })
        .await;
        self.server = Some(server);
        dump
    }

    /// Restoring a large site takes long: the daemons look at every stage of it.
    fn draw_pauses(&mut self) -> Vec<Duration> {
        let longest_ms = *self.rng.choice(&[0, 20, 300]).unwrap_or(&0);
        let pauses = (0..64).map(|_| Duration::from_millis(self.rng.u64(0..=longest_ms)));
        pauses.collect()
    }

    /// A daemon that comes back makes restored transaction ids mean what is true here.
    pub(crate) async fn is_adopted(&mut self, client: &Client) {
        let is_adopted = "select o.system_identifier = s.system_identifier
            from session_reaper.origin o, pg_control_system() s";
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if client
                .query_one(is_adopted, &[])
                .await
                .expect("an origin")
                .get(0)
            {
                return;
            }
            self.wait(20..21).await;
        }
        let complaint = "the restored transaction ids still mean nothing";
        self.complaints.push(complaint.to_owned());
    }
}
