//! `sessions`: where a user is logged in, without giving a key away (P7).

use std::process::ExitCode;

use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::{Failure, arguments::Sessions, user};
use crate::{
    connection::{Error, Target},
    process::shutdown::Stop,
    schema,
    settings::Settings,
    status::linking,
    worker::passing::past_locks,
};

/// A session, as `live_session` shows it.
#[derive(Debug, Serialize)]
struct Session {
    digest: String,
    /// Times in UTC, in the form of ISO 8601. None: before the installation, so these are the oldest.
    opened_at: Option<String>,
    /// None: never.
    expires_at: Option<String>,
}

pub async fn sessions(
    arguments: &Sessions,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let client = user::connect(target).await?;
    let stop = Stop::default();
    past_locks(&stop, async || schema::check(&client, &settings.site).await).await?;
    let key = user::find(&client, settings, &arguments.user).await?;
    let sessions = past_locks(&stop, async || look(&client, &key).await).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&sessions)?);
    } else {
        print(&key, &sessions);
        for (about, says) in linking::read(&client).await?.lines() {
            println!("{about}: {says}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Which sessions are live is the view's business.
async fn look(client: &Client, user: &str) -> Result<Vec<Session>, Error> {
    let rows = client
        .query(
            "-- command::sessions::look
            select s.digest,
                to_char(s.opened_at at time zone 'utc', $2),
                case when isfinite(s.expires_at) then to_char(s.expires_at at time zone 'utc', $2) end
            from session_reaper.live_session s
            where s.user_id = session_reaper.find_user($1)
            order by s.opened_at nulls first, s.digest",
            &[&user, &"YYYY-MM-DD\"T\"HH24:MI:SS\"Z\""],
        )
        .await?;
    let session = |row: &Row| Session {
        digest: row.get(0),
        opened_at: row.get(1),
        expires_at: row.get(2),
    };
    Ok(rows.iter().map(session).collect())
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
