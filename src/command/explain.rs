//! `explain`: why each session of a user is still there, and what each revocation did.

use std::process::ExitCode;

use serde::Serialize;

use super::{Failure, arguments::Explain, user};
use crate::{
    connection::Target,
    history::{
        self, Entry, Wanted,
        explained::{self, Session},
    },
    process::shutdown::Stop,
    settings::Settings,
    status::linking,
    wording::count,
    worker::passing::past_locks,
};

/// As `--json` prints it.
#[derive(Serialize)]
struct Explained {
    user: String,
    sessions: Vec<Session>,
    revocations: Vec<Entry>,
}

pub async fn explain(
    arguments: &Explain,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let client = user::connect(target).await?;
    let key = user::find(&client, settings, &arguments.user).await?;
    let wanted = Wanted {
        user: Some(&key),
        since_s: None,
        only_open: false,
        most: i64::from(arguments.most),
        grace_s: settings.revoke.write_back_grace_s as f64,
    };
    let (sessions, revocations) = past_locks(&Stop::default(), async || {
        Ok::<_, crate::connection::Error>((
            explained::read(&client, &key, &settings.policy).await?,
            history::read(&client, &wanted).await?,
        ))
    })
    .await?;
    let explained = Explained {
        user: key,
        sessions,
        revocations,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&explained)?);
        return Ok(ExitCode::SUCCESS);
    }
    print(&explained);
    for (about, says) in linking::read(&client).await?.lines() {
        println!("{about}: {says}");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(explained: &Explained) {
    println!(
        "user {}: {} that {} linked",
        explained.user,
        count(explained.sessions.len() as u64, "session"),
        if explained.sessions.len() == 1 {
            "is"
        } else {
            "are"
        },
    );
    for session in &explained.sessions {
        println!(
            "session {} (opened {}, expires {})\n    {}",
            session.digest,
            session
                .opened_at
                .as_deref()
                .unwrap_or("before the installation"),
            session.expires_at.as_deref().unwrap_or("never"),
            session.in_words()
        );
    }
    for entry in &explained.revocations {
        println!(
            "revocation {} ({}, {}, {})\n    {}",
            entry.revocation,
            entry.asked_at,
            entry.of(),
            entry.reason,
            entry.outcome()
        );
    }
}
