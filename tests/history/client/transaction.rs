//! Transactions whose outcome is known even if the connection dies in the commit: each leaves a marker.

use tokio_postgres::Error;

use super::Visitor;
use crate::ledger::{Micros, Span};

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    RollBack,
    /// Prepared, and committed a while later.
    CommitPrepared,
    /// Prepared, and rolled back a while later.
    RollBackPrepared,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub committed: bool,
    pub stamp_from: Micros,
    pub publish_sent: Micros,
}

/// What a committed transaction left behind.
type Marker = (Option<i64>, String);

impl Visitor {
    /// Begins a transaction and says when.
    pub(super) async fn begin(&mut self, repeatable_read: bool) -> Result<Span, Error> {
        let level = if repeatable_read {
            "repeatable read"
        } else {
            "read committed"
        };
        self.forget_transaction();
        self.repeatable_read = repeatable_read;
        let sent = self.now();
        self.db
            .batch_execute(&format!("begin isolation level {level}"))
            .await?;
        Ok(Span {
            sent,
            returned: self.now(),
        })
    }

    pub(super) fn draw_ending(&mut self, rolled_back_percent: u32) -> Ending {
        let rolls_back = self.chance(rolled_back_percent);
        let prepares = self.world.options.two_phase && self.chance(20);
        match (prepares, rolls_back) {
            (false, false) => Ending::Commit,
            (false, true) => Ending::RollBack,
            (true, false) => Ending::CommitPrepared,
            (true, true) => Ending::RollBackPrepared,
        }
    }

    /// Ends the open transaction. What goes wrong here is looked into until it is known.
    pub(super) async fn end(&mut self, transaction: i64, ending: Ending) -> Ended {
        let mut ended = Ended {
            committed: false,
            stamp_from: 0,
            publish_sent: 0,
        };
        match self.try_to_end(transaction, ending, &mut ended).await {
            Ok(committed) => ended.committed = committed,
            Err(error) => {
                self.note_failure(&error, " in commit");
                self.recover().await;
                ended.committed = self.find_out(transaction).await.is_some();
            }
        }
        if !ended.committed {
            self.seen.clear();
        }
        self.forget_transaction();
        ended
    }

    /// Gives up what has been done since the transaction began.
    pub(super) async fn roll_back(&mut self) -> Result<(), Error> {
        self.seen.clear();
        self.forget_transaction();
        self.db.batch_execute("rollback").await
    }

    async fn try_to_end(
        &mut self,
        transaction: i64,
        ending: Ending,
        ended: &mut Ended,
    ) -> Result<bool, Error> {
        if ending == Ending::RollBack {
            self.db.batch_execute("rollback").await?;
            return Ok(false);
        }
        self.db
            .execute(
                "insert into history_marker (id) values ($1)",
                &[&transaction],
            )
            .await?;
        ended.stamp_from = self.now();
        ended.publish_sent = ended.stamp_from;
        if ending == Ending::Commit {
            self.db.batch_execute("commit").await?;
            return Ok(true);
        }
        let prepare = format!("prepare transaction 'history_{transaction}'");
        self.db.batch_execute(&prepare).await?;
        self.pause(60).await;
        let commits = ending == Ending::CommitPrepared;
        let verb = if commits { "commit" } else { "rollback" };
        ended.publish_sent = self.now();
        self.db
            .batch_execute(&format!("{verb} prepared 'history_{transaction}'"))
            .await?;
        Ok(commits)
    }

    /// A connection on which no transaction is open. The clients of this server lose theirs only when the server
    /// ends, so that after a reconnect nothing of the old one can still be under way.
    pub(super) async fn recover(&mut self) {
        self.forget_transaction();
        if self.db.batch_execute("rollback").await.is_err() {
            self.db = self.world.connect_as_app().await;
        }
    }

    /// Whether it committed; if so, what its marker says: the generation that it changed, and the server's number.
    pub(super) async fn find_out(&mut self, transaction: i64) -> Option<Marker> {
        for _ in 0..100 {
            match self.look_for_marker(transaction).await {
                Ok(marker) => return marker,
                Err(_) => self.recover().await,
            }
        }
        panic!("transaction {transaction} neither committed nor not");
    }

    async fn look_for_marker(&mut self, transaction: i64) -> Result<Option<Marker>, Error> {
        let gid = format!("history_{transaction}");
        let prepared = self
            .db
            .query_opt("select from pg_prepared_xacts where gid = $1", &[&gid])
            .await?;
        if prepared.is_some() {
            self.db
                .batch_execute(&format!("commit prepared '{gid}'"))
                .await?;
        }
        let marker = "select generation, xid from history_marker where id = $1";
        let row = self.db.query_opt(marker, &[&transaction]).await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }
}
