//! Changing passwords, and whatever else is written about users, by every route.

use tokio_postgres::Error;

use super::{
    Visitor,
    plan::ChangePlan,
    transaction::Ended,
    write::{Done, Write},
};
use crate::ledger::Change;

impl Visitor {
    pub(super) async fn change(&mut self, user: i32) -> Result<(), Error> {
        let plan = self.plan_change(user);
        // Alone in its transaction, a hash could not say that it is rewritten.
        if plan.write != Write::Rehash && self.chance(30) {
            return self.change_one(plan.write, user).await;
        }
        let rehashes = plan.write == Write::Rehash;
        self.carry_out(plan).await?;
        if rehashes && self.chance(50) {
            // What was said for one transaction must not hold for the next one on the same connection.
            return self.change_one(Write::Password, user).await;
        }
        Ok(())
    }

    /// One statement that is its own transaction.
    pub(super) async fn change_one(&mut self, write: Write, user: i32) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let statement = format!(
            "with changed (id, generation, counts, xid) as ({}), marked as (
                insert into history_marker
                select $2::bigint, c.generation, c.xid from changed c where c.counts)
             select * from changed",
            write.statement()
        );
        let sent = self.now();
        let rows = self
            .db
            .query(&statement, &[&[user].as_slice(), &transaction])
            .await;
        let ended = Ended {
            committed: true,
            stamp_from: sent,
            publish_sent: sent,
        };
        match rows {
            Ok(rows) => {
                let done = rows.iter().map(|row| Done::of(write, row)).collect();
                self.note_changes(transaction, done, ended, None, "autocommit");
                Ok(())
            }
            Err(error) => {
                self.recover().await;
                if let Some((generation, xid)) = self.find_out(transaction).await {
                    let done = Done::marked(write, user, generation.unwrap_or_default(), xid);
                    self.note_changes(transaction, vec![done], ended, None, "autocommit");
                }
                Err(error)
            }
        }
    }

    async fn carry_out(&mut self, plan: ChangePlan) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let begin = self.begin(plan.repeatable_read).await?;
        self.set_keep(&plan).await?;
        if plan.write == Write::Rehash {
            let says_so = "select set_config('session_reaper.rehash', 'on', true)";
            self.db.execute(says_so, &[]).await?;
        }
        let mut opened = None;
        if plan.opens && plan.opens_first {
            opened = self.open_own(plan.users[0], transaction, begin).await?;
        }
        let done = self.change_all(&plan).await?;
        if plan.saves {
            self.maybe_pause(120).await;
            self.save_newest(plan.users[0], begin).await?;
        }
        if plan.opens && !plan.opens_first {
            opened = self.open_own(plan.users[0], transaction, begin).await?;
        }
        if plan.immediate {
            self.db
                .batch_execute("set constraints all immediate")
                .await?;
        }
        if plan.slow || plan.immediate {
            self.pause(120).await;
        }
        let ended = self.end(transaction, plan.ending).await;
        if !ended.committed {
            self.world.ledger.books().count("changes rolled back");
            return Ok(());
        }
        self.note_opened(opened);
        let keep = plan.keep.as_ref().map(|(key, _)| key.clone());
        self.note_changes(transaction, done, ended, keep, &plan.name());
        Ok(())
    }

    async fn set_keep(&mut self, plan: &ChangePlan) -> Result<(), Error> {
        let Some((key, digest)) = &plan.keep else {
            return Ok(());
        };
        let statement = if *digest {
            "select set_config('session_reaper.keep_session', encode(sha256(convert_to($1, 'UTF8')), 'hex'), true)"
        } else {
            "select set_config('session_reaper.keep_session', $1, true)"
        };
        self.db.execute(statement, &[key]).await?;
        Ok(())
    }

    /// The changes, but for those that a savepoint took back.
    async fn change_all(&mut self, plan: &ChangePlan) -> Result<Vec<Done>, Error> {
        let mut done = Vec::new();
        let steps: Vec<&[i32]> = if plan.bulk {
            vec![&plan.users]
        } else {
            plan.users.chunks(1).collect()
        };
        let last = steps.len() - 1;
        for (number, users) in steps.into_iter().enumerate() {
            let savepoint = plan.savepoint.filter(|_| number == last);
            if savepoint.is_some() {
                self.db.batch_execute("savepoint change").await?;
            }
            let rows = self.db.query(plan.write.statement(), &[&users]).await?;
            if plan.slow {
                self.maybe_pause(40).await;
            }
            match savepoint {
                Some(true) => self.db.batch_execute("rollback to change").await?,
                Some(false) => self.db.batch_execute("release change").await?,
                None => {}
            }
            if savepoint != Some(true) {
                done.extend(rows.iter().map(|row| Done::of(plan.write, row)));
            }
        }
        Ok(done)
    }

    fn note_changes(
        &mut self,
        transaction: i64,
        done: Vec<Done>,
        ended: Ended,
        keep: Option<String>,
        kind: &str,
    ) {
        let published = self.now();
        let mut books = self.world.ledger.books();
        for Done {
            write,
            user,
            xid,
            cause,
        } in done
        {
            let Some(cause) = cause else {
                books.count(&format!("writes that end nothing, {}", write.name()));
                continue;
            };
            books.add_change(Change {
                user: Some(user),
                transaction,
                xid,
                kind: kind.to_owned(),
                cause,
                stamp_from: ended.stamp_from,
                publish_sent: ended.publish_sent,
                published,
                keep: keep.clone(),
            });
        }
    }
}
