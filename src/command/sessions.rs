//! `sessions`: where a user is logged in, without giving a key away (P7).

use std::process::ExitCode;

use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::Failure;
use crate::{
    connection::{Error, Target},
    schema,
    settings::Settings,
    status::unread,
};

/// A session, as `live_session` shows it.
#[derive(Debug, Serialize)]
struct Session {
    digest: String,
    /// Times in UTC, as ISO 8601 has them.
    opened_at: Option<String>,
    /// None: never.
    expires_at: Option<String>,
}

pub async fn sessions(
    target: &Target,
    settings: &Settings,
    user: &str,
    json: bool,
) -> Result<ExitCode, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    schema::check(&client, &settings.site).await?;
    let Some(sessions) = look(&client, user).await? else {
        return Err(super::no_user(user));
    };
    if json {
        println!("{}", serde_json::to_string(&sessions)?);
    } else {
        print(user, &sessions);
        for (about, says) in unread::read(&client).await?.lines() {
            println!("{about}: {says}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// None if there is no such user. Which sessions are live is the view's business.
async fn look(client: &Client, user: &str) -> Result<Option<Vec<Session>>, Error> {
    // NUL is a character in no text of PostgreSQL's; the driver would fail on it.
    if user.contains('\0') {
        return Ok(None);
    }
    let rows = client
        .query(
            "-- command::sessions::look
            select s.digest,
                to_char(s.opened_at at time zone 'utc', $2),
                case when isfinite(s.expires_at) then to_char(s.expires_at at time zone 'utc', $2) end
            from (select session_reaper.find_user($1) as id) u
            left join session_reaper.live_session s on s.user_id = u.id
            where u.id is not null
            order by s.opened_at, s.digest",
            &[&user, &"YYYY-MM-DD\"T\"HH24:MI:SS\"Z\""],
        )
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let session = |row: &Row| {
        Some(Session {
            digest: row.get::<_, Option<_>>(0)?,
            opened_at: row.get(1),
            expires_at: row.get(2),
        })
    };
    Ok(Some(rows.iter().filter_map(session).collect()))
}

fn print(user: &str, sessions: &[Session]) {
    if sessions.is_empty() {
        println!("user {user} has no live session that is linked");
        return;
    }
    println!("{:<12}  {:<20}  expires", "digest", "opened");
    for session in sessions {
        let time = |at: &Option<String>, none: &str| at.clone().unwrap_or_else(|| none.to_owned());
        println!(
            "{:<12}  {:<20}  {}",
            session.digest,
            time(&session.opened_at, "not known"),
            time(&session.expires_at, "never")
        );
    }
}
