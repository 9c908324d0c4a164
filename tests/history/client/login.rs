//! Logging in: quickly, slowly, in one transaction or two, with a credential version or without.

use tokio_postgres::{Client, Error};

use super::{Visitor, plan::LoginPlan};
use crate::{
    ledger::{Login, Span},
    options::{More, Trouble},
};

const VERIFY: &str = "select substr(password, 5)::bigint, session_reaper.credential_version(id)
    from auth_user where id = $1";

/// A run with a standby in which nobody reads from it shows nothing.
pub const READ_FROM_STANDBY: &str = "logins that read from a standby";

/// What a login was shown.
pub(super) struct Verified {
    pub span: Span,
    pub generation: i64,
    pub version: Option<String>,
}

impl Visitor {
    /// One login, of whatever kind.
    pub(super) async fn log_in(&mut self, user: i32) -> Result<(), Error> {
        if self.world.reads() && self.chance(50) {
            return self.log_in_unlinked(user).await;
        }
        let plan = self.plan_login();
        let transaction = self.world.next_number();
        let key = self.new_key();
        if plan.anonymous_first {
            self.insert_session(&key).await?;
        }
        let mut begin = Span::default();
        if !plan.split {
            begin = self.begin(plan.repeatable_read).await?;
        }
        let verified = match plan.versioned && self.chance(80) {
            true => self.verify_on_standby(user).await?,
            false => self.verify(user).await?,
        };
        let Some(mut verified) = verified else {
            return self.roll_back().await;
        };
        self.hash(plan.slow).await;
        if plan.split {
            match self.begin(plan.repeatable_read).await {
                Ok(begun) => begin = begun,
                Err(error) => {
                    self.note_shown(user, verified, plan);
                    return Err(error);
                }
            }
        }
        if !plan.versioned {
            verified.version = None;
        }
        let Some(mut sight) = self.open_session(&key, user, &verified, plan).await? else {
            return self.roll_back().await;
        };
        if plan.versioned || (plan.repeatable_read && !plan.split) {
            sight = verified.span;
        }
        if plan.slow {
            self.maybe_pause(60).await;
        }
        if self.end(transaction, plan.ending).await.committed {
            self.note_login(Login {
                key,
                user: Some(user),
                transaction,
                kind: plan.name(),
                generation: verified.generation,
                versioned: plan.versioned,
                split: plan.split,
                read: verified.span,
                begin,
                sight,
                known: self.now(),
                first_write: None,
                previous: None,
            });
        }
        Ok(())
    }

    /// Verifying takes its time.
    pub(super) async fn hash(&mut self, slow: bool) {
        let most_ms = match self.world.options.more {
            Some(More::Reads) => 1000,
            _ if slow => 150,
            _ => 3,
        };
        self.pause(most_ms).await;
    }

    pub(super) fn note_login(&self, login: Login) {
        self.world.ledger.books().add_login(login);
    }

    pub(super) fn new_key(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }

    /// Reads the password that the rest of the login relies on.
    pub(super) async fn verify(&mut self, user: i32) -> Result<Option<Verified>, Error> {
        let sent = self.now();
        let row = self.db.query_opt(VERIFY, &[&user]).await?;
        let span = Span {
            sent,
            returned: self.now(),
        };
        Ok(row.map(|row| Verified {
            span,
            generation: row.get(0),
            version: row.get(1),
        }))
    }

    /// The same from a standby, where there is one that answers. How far that is behind, nobody here knows: the login may
    /// end by any change.
    async fn verify_on_standby(&mut self, user: i32) -> Result<Option<Verified>, Error> {
        if self.standby.as_ref().is_none_or(Client::is_closed) {
            self.standby = self.world.connect_to_standby().await;
        }
        let Some(standby) = &self.standby else {
            return self.verify(user).await;
        };
        let Ok(row) = standby.query_opt(VERIFY, &[&user]).await else {
            self.standby = None;
            return self.verify(user).await;
        };
        self.world.ledger.books().count(READ_FROM_STANDBY);
        let span = Span {
            sent: 0,
            returned: self.now(),
        };
        Ok(row.map(|row| Verified {
            span,
            generation: row.get(0),
            version: row.get(1),
        }))
    }

    async fn open_session(
        &mut self,
        key: &str,
        user: i32,
        verified: &Verified,
        plan: LoginPlan,
    ) -> Result<Option<Span>, Error> {
        if plan.savepoint {
            self.db.batch_execute("savepoint login").await?;
        }
        let inserted = Span {
            sent: self.now(),
            returned: 0,
        };
        if !plan.anonymous_first {
            self.insert_session(key).await?;
        }
        let inserted = Span {
            returned: self.now(),
            ..inserted
        };
        self.maybe_pause(10).await;
        let linked = self
            .link(key, user, verified.version.as_deref(), plan.inserts)
            .await?;
        if plan.savepoint {
            self.db.batch_execute("release savepoint login").await?;
        }
        // The snapshot of a REPEATABLE READ transaction is that of its first statement.
        let first = plan.repeatable_read && !plan.anonymous_first;
        Ok(linked.map(|linked| if first { inserted } else { linked }))
    }

    pub(super) async fn insert_session(&mut self, key: &str) -> Result<(), Error> {
        self.insert_data(key, None, None).await
    }

    /// Links a session, and says when; nothing if the user or the session is gone.
    pub(super) async fn link(
        &mut self,
        key: &str,
        user: i32,
        version: Option<&str>,
        inserts: bool,
    ) -> Result<Option<Span>, Error> {
        let sent = self.now();
        // A role of the app's own may only link by the function.
        let linked = if inserts && !self.world.options.has(Trouble::Rights) {
            let statement =
                "insert into session_reaper.user_session (session_key, user_id, credential_version)
                values ($1, $2, $3)";
            self.foresee("23503");
            self.db.execute(statement, &[&key, &user, &version]).await?;
            true
        } else {
            let statement = "select session_reaper.link_session($1::text::varchar, $2, $3)";
            let row = self
                .db
                .query_one(statement, &[&key, &user, &version])
                .await?;
            row.get(0)
        };
        let returned = self.now();
        Ok(linked.then_some(Span { sent, returned }))
    }
}
