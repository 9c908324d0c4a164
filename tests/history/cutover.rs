//! The site moves to a logical subscriber, as in a blue/green deployment: rows of its own and of ours arrive there without
//! their transactions, then it becomes the primary. Nothing is lost.

use session_reaper::demo::server::{Server, Shutdown};
use tokio_postgres::{Client, Error};

use crate::{backfills, failover::blocking, faults::Chaos, loss::becomes_true, world::connect};

const PUBLISH: &str = "create publication history for all tables";
const ARRIVED: &str = "select count(*) = 1 and bool_and(replay_lsn >= $1::text::pg_lsn)
    from pg_stat_replication where application_name = 'history'";
/// Numbers of new users do not arrive.
const NUMBERS: &str = "select setval('auth_user_id_seq', $1)";

impl Chaos {
    /// As docs/operating.md has it: no daemon over there before the cutover, and then `migrate`.
    pub async fn cut_over(&mut self) {
        let new = self.follow_from_now_on().await.expect("a subscription");
        self.wait(500..3000).await;
        // What is written from now on nobody has read or ended before it arrives.
        self.leave_alone();
        self.wait(200..1500).await;
        let everybody = self
            .world
            .stop_everybody()
            .await
            .expect("everybody at rest");
        self.note("site moved to a subscriber");
        let old = self.world.connect().await;
        let there = self.connect_to_server(&new).await;
        take_over(&old, &there, &new).await.expect("a new primary");
        self.world.ledger.books().backfills.ask();
        self.move_to(new).await;
        let marker = format!(
            "insert into history_marker (id) values ({})",
            self.world.next_number()
        );
        let owners = backfills::owners(&there, &marker).await.expect("the links");
        self.operate("migrate").await;
        self.is_adopted(&there).await;
        self.world.ledger.books().forget_numbers();
        self.backfill_begins(&owners);
        if let Some(cache) = &self.world.cache {
            cache.empty().await;
        }
        self.start_daemons();
        drop(everybody);
    }

    /// Another server that has all there is, and gets what comes.
    async fn follow_from_now_on(&mut self) -> Result<Server, Error> {
        let new = self.another_server().await;
        let everybody = self
            .world
            .stop_everybody()
            .await
            .expect("everybody at rest");
        self.leave_alone();
        let dump = self.dump().await;
        let new = blocking(move || dump.restore(new, &[])).await;
        let (old, there) = (
            self.world.connect().await,
            self.connect_to_server(&new).await,
        );
        old.batch_execute(PUBLISH).await?;
        let server = self.server.as_ref().expect("a server");
        let subscribe = format!(
            "create subscription history connection '{}' publication history with (copy_data = false)",
            server.tcp_url(self.world.options.database())
        );
        there.batch_execute(&subscribe).await?;
        self.start_daemons();
        drop(everybody);
        Ok(new)
    }

    async fn connect_to_server(&self, server: &Server) -> Client {
        let url = server.url(self.world.options.database());
        connect(|| url.clone()).await
    }

    /// The old one is not to be reached any more.
    async fn move_to(&mut self, new: Server) {
        self.proxy.point_at(new.port());
        self.world.logins.move_to(&new);
        let old = self.server.replace(new);
        blocking(move || old.map(|mut old| old.stop(Shutdown::Fast))).await;
    }
}

/// Waits until everything has arrived, and ends the subscription.
async fn take_over(old: &Client, new: &Client, server: &Server) -> Result<(), Error> {
    let row = old
        .query_one("select pg_current_wal_lsn()::text", &[])
        .await?;
    let written: String = row.get(0);
    let has_arrived = becomes_true(old, ARRIVED, &[&written]).await?;
    assert!(
        has_arrived,
        "it does not arrive: {}",
        last_lines(&server.log())
    );
    new.batch_execute("drop subscription history").await?;
    let row = old
        .query_one("select last_value from auth_user_id_seq", &[])
        .await?;
    let last: i64 = row.get(0);
    new.query_one(NUMBERS, &[&last]).await?;
    Ok(())
}

/// What a subscriber says again and again that cannot apply what it gets.
fn last_lines(log: &str) -> &str {
    let begins = log.char_indices().rev().nth(3000);
    begins.map_or(log, |(begins, _)| &log[begins..])
}
