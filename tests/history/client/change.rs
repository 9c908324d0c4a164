//! Changing passwords, by every route.

use tokio_postgres::{Error, Row};

use super::{Visitor, plan::ChangePlan, transaction::Ended};
use crate::ledger::{Cause, Change, Login};

const CHANGE: &str = "update auth_user set password = 'gen:' || substr(password, 5)::bigint + 1
    where id = any ($1)
    returning id, substr(password, 5)::bigint - 1, pg_current_xact_id()::text";

/// A password that was changed in a transaction that is still open.
struct Done {
    user: i32,
    from: i64,
    xid: String,
}

impl From<Row> for Done {
    fn from(row: Row) -> Self {
        Self {
            user: row.get(0),
            from: row.get(1),
            xid: row.get(2),
        }
    }
}

impl Visitor {
    pub(super) async fn change_passwords(&mut self, user: i32) -> Result<(), Error> {
        if self.chance(30) {
            return self.change_one(user).await;
        }
        let plan = self.plan_change(user);
        self.carry_out(plan).await
    }

    /// One statement that is its own transaction.
    pub(super) async fn change_one(&mut self, user: i32) -> Result<(), Error> {
        let transaction = self.world.next_number();
        let statement = format!(
            "with changed (id, generation, xid) as ({CHANGE}), marked as (
                insert into history_marker select $2::bigint, c.generation, c.xid from changed c)
             select * from changed"
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
                let done = rows.into_iter().map(Done::from).collect();
                self.note_changes(transaction, done, ended, None, "autocommit");
                Ok(())
            }
            Err(error) => {
                self.recover().await;
                if let Some((from, xid)) = self.find_out(transaction).await {
                    let done = Done {
                        user,
                        from: from.unwrap_or_default(),
                        xid,
                    };
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
        let mut opened = None;
        if plan.opens && plan.opens_first {
            opened = self.open_own(&plan, transaction, begin).await?;
        }
        let done = self.change_all(&plan).await?;
        if plan.opens && !plan.opens_first {
            opened = self.open_own(&plan, transaction, begin).await?;
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
        if let Some(login) = opened {
            self.note_login(Login {
                known: self.now(),
                ..login
            });
        }
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
            let rows = self.db.query(CHANGE, &[&users]).await?;
            if plan.slow {
                self.maybe_pause(40).await;
            }
            match savepoint {
                Some(true) => self.db.batch_execute("rollback to change").await?,
                Some(false) => self.db.batch_execute("release change").await?,
                None => {}
            }
            if savepoint != Some(true) {
                done.extend(rows.into_iter().map(Done::from));
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
        for Done { user, from, xid } in done {
            books.add_change(Change {
                user,
                transaction,
                xid,
                kind: kind.to_owned(),
                cause: Cause::Password(from),
                stamp_from: ended.stamp_from,
                publish_sent: ended.publish_sent,
                published,
                keep: keep.clone(),
            });
        }
    }
}
