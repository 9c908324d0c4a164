//! Where the story is played: the site's database, two connections to it, and what is known to be on it.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::Client;

use super::database::connect;
use super::error::{Error, check};
use super::narrator::{Narrator, count};
use super::site;

// Far above what anything here takes, so that only a defect runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

const VISITORS: usize = 500;

/// The site and everybody on it.
pub struct Stage {
    /// Prints.
    pub narrator: Narrator,
    /// The app, or a person with `psql`: whoever changes something.
    pub actor: Client,
    /// Looks at the database beside the actor, whose transactions can stay open meanwhile.
    pub observer: Client,
    /// Keys of sessions that nothing in the story may end.
    pub bystanders: Vec<String>,
}

/// The newest revocation of a user.
pub struct Revocation {
    /// `requested`, `revoked` or `settled`.
    pub state: String,
    /// How many sessions have ended.
    pub sessions_ended: i64,
    /// Why, and who asked with what, for the narrator.
    pub origin: String,
}

impl Stage {
    /// Connects to the site's database.
    pub async fn enter(url: &str, narrator: Narrator) -> Result<Self, Error> {
        Ok(Self {
            narrator,
            actor: connect(url, "demo-app").await?,
            observer: connect(url, "demo-observer").await?,
            bystanders: Vec::new(),
        })
    }

    /// Creates the site's tables, with visitors who are not logged in.
    pub async fn set(&mut self) -> Result<(), Error> {
        site::create_tables(&self.actor).await?;
        self.bystanders
            .extend(site::visit(&self.actor, VISITORS).await?);
        let version = self.actor.query_one("show server_version", &[]).await?;
        let version: &str = version.get(0);
        self.narrator.item(
            "server",
            &format!("PostgreSQL {version}, on a Unix socket in a private directory"),
        );
        self.narrator.item(
            "site",
            &format!(
                "Django's own tables, {} on it",
                count(VISITORS, "anonymous visitor")
            ),
        );
        Ok(())
    }

    /// A user with this many sessions: their id and the keys.
    pub async fn user(&self, name: &str, sessions: usize) -> Result<(i32, Vec<String>), Error> {
        let ids = site::sign_up(&self.actor, &[name.to_owned()]).await?;
        let keys = site::log_in(&self.actor, &vec![ids[0]; sessions]).await?;
        Ok((ids[0], keys))
    }

    /// Waits until the last of these sessions is gone; returns how long that took.
    pub async fn until_gone(&self, keys: &[String]) -> Result<Duration, Error> {
        let begun = Instant::now();
        loop {
            let left = site::count(&self.observer, keys).await?;
            if left == 0 {
                return Ok(begun.elapsed());
            }
            check(begun.elapsed() < PATIENCE, || {
                let patience_s = PATIENCE.as_secs();
                format!(
                    "after {patience_s} s, none of {} should live, but {left} do",
                    count(keys.len(), "session")
                )
            })?;
            pause(keys.len()).await;
        }
    }

    /// Waits until the newest revocation of a user is settled, and checks how many sessions it has ended.
    pub async fn until_settled(&self, user: i32, sessions: i64) -> Result<Revocation, Error> {
        let begun = Instant::now();
        let revocation = loop {
            match self.revocation(user).await? {
                Some(revocation) if revocation.state == "settled" => break revocation,
                _ => check(begun.elapsed() < PATIENCE, || {
                    format!("the revocation of user {user} should have settled by now")
                })?,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let ended = revocation.sessions_ended;
        check(ended == sessions, || {
            format!("the audit trail should count {sessions} ended sessions, but it counts {ended}")
        })?;
        Ok(revocation)
    }

    /// The newest revocation of a user, if there is any.
    pub async fn revocation(&self, user: i32) -> Result<Option<Revocation>, Error> {
        let row = self
            .observer
            .query_opt(
                "-- demo::stage::revocation
                 select r.state, r.sessions_ended, format('%s, by %s with %s', r.reason, c.requested_by, c.application_name)
                 from session_reaper.revocation r
                 join session_reaper.change c on c.id = r.change_id
                 where r.user_id = $1
                 order by r.id desc
                 limit 1",
                &[/* user_id */ &user],
            )
            .await?;
        Ok(row.map(|row| Revocation {
            state: row.get(0),
            sessions_ended: row.get(1),
            origin: row.get(2),
        }))
    }

    /// Waits until every revocation of these users is settled; returns how many sessions they have ended.
    pub async fn until_all_settled(&self, users: &[i32]) -> Result<usize, Error> {
        let begun = Instant::now();
        loop {
            let row = self
                .observer
                .query_one(
                    "-- demo::stage::until_all_settled
                     select count(*) filter (where r.state = 'settled'), coalesce(sum(r.sessions_ended), 0)::bigint
                     from session_reaper.revocation r
                     where r.user_id = any ($1)",
                    &[/* user_id */ &users],
                )
                .await?;
            let settled = site::whole(row.get(0));
            if settled == users.len() {
                return Ok(site::whole(row.get(1)));
            }
            check(begun.elapsed() < PATIENCE, || {
                format!(
                    "of {}, all should have settled by now, but {settled} have",
                    count(users.len(), "revocation")
                )
            })?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When the last purge ended.
    pub async fn last_purge(&self) -> Result<Option<SystemTime>, Error> {
        let row = self
            .observer
            .query_one(
                "-- demo::stage::last_purge
                 select p.finished_at from session_reaper.purge p",
                &[],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Fails unless all of these sessions live.
    pub async fn check_alive(&self, keys: &[String], whose: &str) -> Result<(), Error> {
        let alive = site::count(&self.observer, keys).await?;
        check(alive == keys.len(), || {
            format!(
                "of {} {whose}, all should live on, but {alive} do",
                count(keys.len(), "session")
            )
        })
    }
}

// A single session is looked for as fast as the database answers, because a timer is coarser than what is
// measured; a look at thousands would take the machine away from the daemon.
async fn pause(sessions: usize) {
    if sessions > 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
