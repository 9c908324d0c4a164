//! Checks sessions against the policies, a piece at a time, and rests in between, so that the site does not notice
//! (P6).
//!
//! New logins are looked at once a second, because a login is what makes one session too many. What may have become too
//! old is looked at every `policy.check_interval_s`. Everything is looked at now and then, because a login that was
//! committed late, or a session that was locked, has been passed over.

use std::time::{Duration, Instant};

use super::{
    rules,
    walk::{self, Piece, Walk},
};
use crate::{
    connection::{Database, Error},
    process::shutdown::Stop,
    settings::{Policies, Settings},
    worker::{InForce, Worker, passing::past_limits, size::Size},
};

/// How often new logins are looked at.
const FRESH: Duration = Duration::from_secs(1);

/// As a rule a login takes no longer, so one that began up to this long ago may have been committed since the last
/// look.
const OVERLAP: Duration = Duration::from_secs(10);

/// How often everything is looked at.
const WHOLE: Duration = Duration::from_secs(3600);

/// Enforces; see the module.
pub struct Enforcer {
    database: Database,
    settings: InForce,
    /// Users may have so many sessions that a whole piece takes longer than a statement may.
    size: Size,
    /// The rules that were applied so far: with others, everything begins anew.
    rules: String,
    /// Through the newest links, again and again.
    fresh: Walk,
    fresh_at: Option<Instant>,
    /// Through the others, now and then.
    walk: Option<Walk>,
    whole_at: Instant,
    old_at: Instant,
}

impl Worker for Enforcer {
    const NAME: &'static str = "enforcer";
    const TASK: &'static str = "enforce the policies";

    async fn run_once(&mut self) -> Result<Duration, Error> {
        let settings = self.settings.now();
        let policy = &settings.policy;
        if !policy.any() {
            self.rules.clear();
            return Ok(Duration::from_secs(settings.listen.poll_interval_s));
        }
        self.heed(policy).await?;
        let begun = Instant::now();
        // However long a walk is, no login waits for its end.
        let is_fresh_due = self.fresh_at.is_none_or(|at| at.elapsed() >= FRESH);
        if is_fresh_due && policy.limits_number() {
            self.look_at_fresh(&settings).await?;
        } else if let Some(walk) = self.walk {
            self.walk = self.go_on(walk, &settings).await?;
        } else {
            self.begin_walk(policy);
            return Ok(FRESH);
        }
        Ok(begun.elapsed().mul_f64(policy.pause_ratio))
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

impl Enforcer {
    /// One that has looked at nothing yet.
    pub fn new(database: Database, settings: InForce) -> Self {
        let everything = Walk::default();
        Self {
            database,
            settings,
            size: Size::default(),
            rules: String::new(),
            fresh: everything,
            fresh_at: None,
            walk: Some(everything),
            whole_at: Instant::now(),
            old_at: Instant::now(),
        }
    }

    /// Everything once, now; returns how many sessions ended.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses a statement; what has ended stays ended.
    pub async fn enforce_all(&mut self, stop: &Stop) -> Result<i64, Error> {
        let settings = self.settings.now();
        let (mut ended, mut walk) = (0, self.walk);
        while let Some(now) = walk {
            let begun = Instant::now();
            let most = settings.policy.batch_rows;
            let look = async |most| now.look(&self.database, &settings, most).await;
            let piece = past_limits(stop, &self.size, most, look).await?;
            ended += piece.ended;
            walk = now.behind(&piece);
            tokio::time::sleep(begun.elapsed().mul_f64(settings.policy.pause_ratio)).await;
        }
        Ok(ended)
    }

    /// Rules that have changed may end what was looked at before.
    async fn heed(&mut self, policy: &Policies) -> Result<(), Error> {
        let rules = rules(policy);
        if rules == self.rules {
            return Ok(());
        }
        let now = walk::now(&self.database).await?;
        let settings = self.settings.clone();
        *self = Self::new(self.database.clone(), settings);
        self.rules = rules;
        self.fresh.reached = Some(now - OVERLAP);
        Ok(())
    }

    fn begin_walk(&mut self, policy: &Policies) {
        let interval = Duration::from_secs(policy.check_interval_s);
        let older_than_s = if self.whole_at.elapsed() >= WHOLE {
            self.whole_at = Instant::now();
            None
        } else if policy.youngest_s().is_some() && self.old_at.elapsed() >= interval {
            policy.youngest_s().map(|seconds| seconds as f64)
        } else {
            return;
        };
        self.old_at = Instant::now();
        self.walk = Some(Walk {
            reached: None,
            older_than_s,
        });
    }

    async fn look_at_fresh(&mut self, settings: &Settings) -> Result<(), Error> {
        let fresh = self.fresh;
        let looked = self.go_on(fresh, settings).await;
        match &looked {
            Ok(Some(behind)) => self.fresh = *behind,
            // From here on again, and a little before. One that fails must not keep the walk from its turn.
            Ok(None) | Err(_) => self.fresh_at = Some(Instant::now()),
        }
        looked.map(drop)
    }

    async fn look(&self, walk: Walk, settings: &Settings) -> Result<Piece, Error> {
        let most = self.size.of(settings.policy.batch_rows);
        self.size
            .note(walk.look(&self.database, settings, most).await)
    }

    /// One piece; returns where to go on, if there is more.
    async fn go_on(&mut self, walk: Walk, settings: &Settings) -> Result<Option<Walk>, Error> {
        let piece = self.look(walk, settings).await?;
        if piece.ended > 0 {
            tracing::info!(sessions = piece.ended, "ended by policy");
        }
        let newest = piece.reached.map(|reached| reached - OVERLAP);
        // If the server's clock has been set back, new logins would be behind this point: everything is looked at once
        // more.
        self.fresh.reached = self.fresh.reached.max(newest).filter(|at| *at <= piece.now);
        Ok(walk.behind(&piece))
    }
}
