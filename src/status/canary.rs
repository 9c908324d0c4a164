//! What came of the canary's runs.

use serde::Serialize;
use tokio_postgres::Client;

use crate::{connection::Error, wording::lasting};

/// The canary. All empty where it is off.
#[derive(Debug, Default, Serialize)]
pub struct Canary {
    /// The user whose session it ends; none where it opens none.
    pub user: Option<String>,
    /// When the last run began, in seconds since 1970; none where there was none.
    pub began_at_s: Option<f64>,
    /// When one last succeeded, in seconds since 1970.
    pub succeeded_at_s: Option<f64>,
    /// How long ago that was, in seconds.
    pub succeeded_ago_s: Option<f64>,
    /// How long after the change its session was gone then, in seconds.
    pub gone_s: Option<f64>,
    /// How long after the change it had settled then, in seconds.
    pub settled_s: Option<f64>,
    /// How many runs have failed since it was switched on.
    pub failures: i64,
    /// When one last failed, in seconds since 1970.
    pub failed_at_s: Option<f64>,
    /// What the last run failed at: `other_user`, `no_user`, `in_use`, `session`, `trigger`, `gone` or `settled`; none if it
    /// did not.
    pub failed_stage: Option<String>,
    /// What the server answered then; none if it was no error.
    pub failed_sqlstate: Option<String>,
}

/// Reads it.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn read(client: &Client) -> Result<Canary, Error> {
    let row = client
        .query_opt(
            "-- status::canary::read
            select c.user_key, extract(epoch from c.began_at)::double precision,
                extract(epoch from c.succeeded_at)::double precision,
                extract(epoch from clock_timestamp() - c.succeeded_at)::double precision,
                c.gone_s, c.settled_s, c.failures, extract(epoch from c.failed_at)::double precision,
                c.failed_stage, c.failed_sqlstate
            from session_reaper.canary c",
            &[],
        )
        .await?;
    let canary = row.map(|row| Canary {
        user: row.get(0),
        began_at_s: row.get(1),
        succeeded_at_s: row.get(2),
        succeeded_ago_s: row.get(3),
        gone_s: row.get(4),
        settled_s: row.get(5),
        failures: row.get(6),
        failed_at_s: row.get(7),
        failed_stage: row.get(8),
        failed_sqlstate: row.get(9),
    });
    Ok(canary.unwrap_or_default())
}

impl Canary {
    /// Whether it is on, or has been until lately.
    pub fn has_run(&self) -> bool {
        self.began_at_s.is_some()
    }

    /// What the last run failed at, in words.
    pub fn failure(&self) -> Option<String> {
        let stage = self.failed_stage.as_deref()?;
        let failed = match stage {
            "other_user" => {
                "canary.user is not the one that was installed: run `session-reaper migrate`"
            }
            "no_user" => "the site has no such user: set canary.user to the key of one",
            "in_use" => {
                "somebody is logged in as canary.user, whose session it would end: name a user as whom nobody logs in"
            }
            "session" => "no session could be opened for canary.user",
            "trigger" => {
                "a change of the password of canary.user has not asked for the sessions to end"
            }
            "gone" if self.user.is_none() => "its revocation was not looked at in time",
            "gone" => "its session was not ended in time",
            _ => {
                "its revocation did not settle in time; `session-reaper history` says what it waits for"
            }
        };
        let answer = self.failed_sqlstate.as_deref();
        let answer = answer.map_or_else(String::new, |state| format!(" (SQLSTATE {state})"));
        Some(format!("{failed}{answer}"))
    }

    /// When it last succeeded, and how fast; nothing if it never has.
    pub fn success(&self) -> Option<String> {
        let ago = lasting(self.succeeded_ago_s?);
        let long = |seconds: Option<f64>| seconds.map_or_else(|| "?".to_owned(), lasting);
        Some(format!(
            "{ago} ago: gone within {}, settled within {}",
            long(self.gone_s),
            long(self.settled_s)
        ))
    }
}
