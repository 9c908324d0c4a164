//! What the age rule decides for each session of one user.

use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::TIME;
use crate::{connection::Error, policy::rules, settings::Policies};

/// One session, without its key.
#[derive(Debug, Serialize)]
pub struct Session {
    /// The first 12 hex digits of the SHA-256 of its key.
    pub digest: String,
    /// When its login began, in UTC; none: before the installation.
    pub opened_at: Option<String>,
    /// When it expires, in UTC; none: never.
    pub expires_at: Option<String>,
    /// Whether it has expired and waits for the purge.
    pub is_expired: bool,
    /// The revocation that decides over it; none where nothing was asked for.
    pub revocation: Option<i64>,
    /// `ends`, `left_over`, `kept`, `own`, `newer` or `nothing_asked`.
    pub verdict: String,
    /// The policy that ends it next: `sessions_max`, `lifetime` or `idle`; none where it is within all of them.
    pub policy: Option<String>,
}

/// Reads them, the oldest first.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn read(client: &Client, user: &str, policy: &Policies) -> Result<Vec<Session>, Error> {
    let rows = client
        .query(
            "-- history::explained::read
            select e.digest, to_char(e.opened_at at time zone 'utc', $2),
                case when isfinite(e.expires_at) then to_char(e.expires_at at time zone 'utc', $2) end,
                e.is_expired, e.revocation_id, e.verdict, p.reason
            from session_reaper.explain_sessions(session_reaper.find_user($1)) with ordinality
                as e (digest, opened_at, expires_at, is_expired, revocation_id, verdict, place)
            left join session_reaper.explain_policy(session_reaper.find_user($1), $3::text::jsonb) p on p.digest = e.digest
            order by e.place",
            &[&user, &TIME, &rules(policy)],
        )
        .await?;
    let session = |row: &Row| Session {
        digest: row.get(0),
        opened_at: row.get(1),
        expires_at: row.get(2),
        is_expired: row.get(3),
        revocation: row.get(4),
        verdict: row.get(5),
        policy: row.get(6),
    };
    Ok(rows.iter().map(session).collect())
}

impl Session {
    /// Which rule keeps it, or ends it.
    pub fn in_words(&self) -> String {
        let by = self
            .revocation
            .map_or_else(String::new, |number| format!("revocation {number}"));
        let rule = match self.verdict.as_str() {
            "ends" => format!("ends with {by}: its login may have verified the old password"),
            "left_over" => format!(
                "is older than {by}, which has settled: it should have ended, please report this"
            ),
            "kept" => format!("stays: the app asked {by} to keep it"),
            "own" => format!("stays: the transaction of {by} opened it itself"),
            "newer" => format!("stays: its login began after {by} had been committed"),
            _ => "stays: nothing has been asked for since the records begin".to_owned(),
        };
        // What a revocation ends is gone before a policy looks.
        let rule = match &self.policy {
            Some(policy) if !matches!(self.verdict.as_str(), "ends" | "left_over") => {
                format!("ends by the policy {policy}; but for that it {rule}")
            }
            _ => rule,
        };
        if self.is_expired {
            return format!("{rule}; it has expired, and the next purge deletes it");
        }
        rule
    }
}
