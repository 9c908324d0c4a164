//! Who would be logged out if the policies were enforced now.

use std::time::SystemTime;

use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::rules;
use crate::{connection::Error, settings::Policies};

/// One session that a policy would end, without its key.
#[derive(Debug, Serialize)]
pub struct Over {
    /// Whose.
    pub user: String,
    /// The first 12 hex digits of the SHA-256 of its key.
    pub digest: String,
    /// `sessions_max`, `lifetime` or `idle`.
    pub reason: String,
    /// When its login began, or when it was found, in UTC, as ISO 8601 has it.
    pub opened_at: String,
}

/// Looks through all links, a piece at a time.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn find(client: &Client, policy: &Policies) -> Result<Vec<Over>, Error> {
    let (rules, most) = (
        rules(policy),
        i32::try_from(policy.batch_rows).unwrap_or(i32::MAX),
    );
    let (mut found, mut reached) = (Vec::new(), None::<SystemTime>);
    loop {
        let rows = client
            .query(
                "-- policy::over::find
                select w.reached, w.user_id, w.digest, w.reason,
                    to_char(w.opened_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                from session_reaper.who_is_over_policy($1::text::jsonb, $2, $3) w
                order by w.opened_at, w.digest",
                &[&rules, &most, &reached],
            )
            .await?;
        let Some(first) = rows.first() else {
            return Ok(found);
        };
        reached = first.get(0);
        found.extend(rows.iter().filter_map(over));
    }
}

/// None where the piece had no session to name.
fn over(row: &Row) -> Option<Over> {
    Some(Over {
        user: row.get::<_, Option<String>>(1)?,
        digest: row.get(2),
        reason: row.get(3),
        opened_at: row.get(4),
    })
}
