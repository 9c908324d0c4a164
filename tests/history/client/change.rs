//! Changing passwords, by every route.

use tokio_postgres::{Error, Row};

use super::{
    Visitor,
    transaction::{Ended, Ending},
};
use crate::ledger::{Cause, Change, Login, Span};

const CHANGE: &str = "update auth_user set password = 'gen:' || substr(password, 5)::bigint + 1
    where id = any ($1)
    returning id, substr(password, 5)::bigint - 1, pg_current_xact_id()::text";

/// What one transaction does.
#[derive(Clone, Debug)]
struct Plan {
    users: Vec<i32>,
    repeatable_read: bool,
    /// All users in one statement.
    bulk: bool,
    immediate: bool,
    /// A savepoint around some of the changes, and whether they are taken back.
    savepoint: Option<bool>,
    keep: Option<(String, bool)>,
    opens: bool,
    opens_first: bool,
    slow: bool,
    ending: Ending,
}

impl Plan {
    fn name(&self) -> String {
        let parts = [
            (self.users.len() > 1 && self.bulk, "bulk"),
            (self.users.len() > 1 && !self.bulk, "several"),
            (self.repeatable_read, "repeatable read"),
            (self.immediate, "constraints immediate"),
            (self.savepoint == Some(true), "savepoint rolled back"),
            (self.savepoint == Some(false), "savepoint released"),
            (self.keep.is_some(), "keeps"),
            (self.opens, "opens"),
            (self.ending == Ending::CommitPrepared, "two-phase"),
            (self.slow, "slow"),
        ];
        let names: Vec<&str> = parts
            .iter()
            .filter(|part| part.0)
            .map(|part| part.1)
            .collect();
        if names.is_empty() {
            "plain".to_owned()
        } else {
            names.join(", ")
        }
    }
}

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

    fn plan_change(&mut self, user: i32) -> Plan {
        let mut users = vec![user];
        if self.chance(20) {
            let more = self.rng.usize(1..6);
            users.extend((0..more).filter_map(|_| self.world.some_user(&mut self.rng)));
            users.sort_unstable();
            users.dedup();
        }
        let keep = if self.chance(30) {
            self.some_session(Some(user))
        } else {
            None
        };
        Plan {
            users,
            repeatable_read: self.chance(15),
            bulk: self.chance(50),
            immediate: self.chance(15),
            savepoint: if self.chance(20) {
                Some(self.chance(50))
            } else {
                None
            },
            keep: keep.map(|key| (key, self.chance(50))),
            opens: self.chance(30),
            opens_first: self.chance(30),
            slow: self.chance(40),
            ending: self.draw_ending(15),
        }
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

    async fn carry_out(&mut self, plan: Plan) -> Result<(), Error> {
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

    async fn set_keep(&mut self, plan: &Plan) -> Result<(), Error> {
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
    async fn change_all(&mut self, plan: &Plan) -> Result<Vec<Done>, Error> {
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

    /// Django's PasswordChangeView cycles the session key in the changing transaction.
    async fn open_own(
        &mut self,
        plan: &Plan,
        transaction: i64,
        begin: Span,
    ) -> Result<Option<Login>, Error> {
        let user = plan.users[0];
        let key = self.new_key();
        let read = "select substr(password, 5)::bigint from auth_user where id = $1";
        let Some(row) = self.db.query_opt(read, &[&user]).await? else {
            return Ok(None);
        };
        self.insert_session(&key).await?;
        let Some(linked) = self.link(&key, user, None, false).await? else {
            return Ok(None);
        };
        Ok(Some(Login {
            key,
            user: Some(user),
            transaction,
            kind: "in the changing transaction".to_owned(),
            generation: row.get(0),
            versioned: false,
            split: false,
            read: linked,
            begin,
            // The earliest snapshot that it can have had, under any isolation level.
            sight: Span {
                sent: begin.sent,
                returned: linked.returned,
            },
            known: 0,
        }))
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
