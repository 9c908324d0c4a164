//! `history`: what has been asked for, by whom, and what came of it.

use std::process::ExitCode;

use super::{Failure, arguments::History, user};
use crate::{
    connection::Target,
    history::{self, Entry, Wanted},
    process::shutdown::Stop,
    settings::Settings,
    worker::passing::past_locks,
};

pub async fn history(
    arguments: &History,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let client = user::connect(target).await?;
    let asked = match arguments.user() {
        // A user who was deleted has a history, too.
        Some(given) if given.by.is_none() => Some(given.user),
        Some(given) => Some(user::find(&client, settings, &given).await?),
        None => None,
    };
    let wanted = Wanted {
        user: asked.as_deref(),
        since_s: arguments.since.map(|age| age.as_secs_f64()),
        only_open: false,
        most: i64::from(arguments.most),
        grace_s: settings.revoke.write_back_grace_s as f64,
    };
    let entries = past_locks(&Stop::default(), async || {
        history::read(&client, &wanted).await
    })
    .await?;
    if entries.is_empty()
        && let Some(given) = arguments.user()
    {
        user::find(&client, settings, &given).await?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&entries)?);
    } else {
        print(&entries);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(entries: &[Entry]) {
    if entries.is_empty() {
        println!("no revocation");
    }
    for entry in entries {
        println!(
            "{}  revocation {}: {}, {}, asked by {}{}",
            entry.asked_at,
            entry.revocation,
            entry.of(),
            entry.reason,
            entry.asked_by,
            application(entry)
        );
        println!("{:22}{}", "", entry.outcome());
    }
}

fn application(entry: &Entry) -> String {
    match entry.application.as_str() {
        "" => String::new(),
        name => format!(" ({name})"),
    }
}
