//! A revocation in words: whose sessions, what came of it, and what it waits for.

use super::{Cause, Entry};
use crate::wording::count_of;

impl Entry {
    /// Whose sessions, in words.
    pub fn of(&self) -> String {
        match (self.scope.as_str(), &self.user) {
            ("all", _) => "everybody".to_owned(),
            // A deletion, and a policy, name all that they end.
            ("session", Some(user)) if self.sessions_ended > 1 => {
                format!(
                    "{} of user {user}",
                    count_of(self.sessions_ended, "session")
                )
            }
            ("session", Some(user)) => format!("one session of user {user}"),
            ("session", None) => "one session".to_owned(),
            (_, Some(user)) => format!("user {user}"),
            (_, None) => "nobody".to_owned(),
        }
    }

    /// What came of it, in words.
    pub fn outcome(&self) -> String {
        let ended = format!("{} ended", count_of(self.sessions_ended, "session"));
        let swept = after(self.revoked_after_s);
        if self.state == "settled" {
            let cap = if self.waited_out {
                ", without a transaction that stayed open for too long"
            } else {
                ""
            };
            return format!(
                "{ended}{swept}, settled{}{cap}",
                after(self.settled_after_s)
            );
        }
        let causes: Vec<String> = self.waits_for.iter().map(Cause::in_words).collect();
        format!("{ended}{swept}, open: {}", causes.join(", "))
    }
}

/// A stamp can be missing, and clocks can go back.
fn after(seconds: Option<f64>) -> String {
    seconds.map_or_else(String::new, |seconds| {
        format!(" after {:.3} s", seconds.max(0.0))
    })
}

impl Cause {
    /// What it waits for, in words.
    pub fn in_words(&self) -> String {
        let detail = self.detail.as_deref().unwrap_or_default();
        match self.cause.as_str() {
            "paused" => "the site is paused, run `session-reaper resume`".to_owned(),
            "failing" => format!(
                "the last try failed with SQLSTATE {detail}, it is tried again; see the daemon's log"
            ),
            "unserved" => "no daemon serves this database, start one".to_owned(),
            "requested" => "its turn has not come yet".to_owned(),
            "transaction" => format!("waits for {detail}"),
            "pending_link" => {
                "sessions that were written before it have not been read yet".to_owned()
            }
            "cache" => "the cache has not confirmed that it forgot its sessions".to_owned(),
            "grace" => "requests that were in flight may still write a session back".to_owned(),
            _ => "its last look is next".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, waits_for: Vec<Cause>) -> Entry {
        Entry {
            revocation: 12,
            scope: "user".to_owned(),
            user: Some("7".to_owned()),
            reason: "password".to_owned(),
            state: state.to_owned(),
            asked_at: "2026-01-01T00:00:00Z".to_owned(),
            asked_by: "shop".to_owned(),
            application: "gunicorn".to_owned(),
            sessions_ended: 3,
            revoked_after_s: Some(0.0123),
            settled_after_s: (state == "settled").then_some(1.5),
            waited_out: false,
            waits_for,
        }
    }

    #[test]
    fn an_outcome_says_what_ended_how_fast_and_what_an_open_one_waits_for() {
        assert_eq!(
            entry("settled", vec![]).outcome(),
            "3 sessions ended after 0.012 s, settled after 1.500 s"
        );
        let cause = Cause {
            cause: "transaction".to_owned(),
            detail: Some("the open transaction of process 5 (shop, psql)".to_owned()),
        };
        assert_eq!(
            entry("revoked", vec![cause]).outcome(),
            "3 sessions ended after 0.012 s, open: waits for the open transaction of process 5 (shop, psql)"
        );
    }

    #[test]
    fn a_clock_that_went_back_makes_no_negative_time() {
        assert_eq!(after(Some(-3567.0)), " after 0.000 s");
    }
}
