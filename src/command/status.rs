//! `status`: how it stands, for a person, for a script or for a monitor.

use std::process::ExitCode;

use super::{Failure, arguments};
use crate::{
    connection::Target,
    schema::{self, Pause},
    settings::Settings,
    status::{self, Status, metrics},
    wording::count_of,
};

pub async fn status(
    arguments: &arguments::Status,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let result = read_and_print(arguments, target, settings).await;
    if arguments.metrics && result.is_err() {
        // An alarm on it must not be silenced by a server that is down.
        print!("{}", metrics::not_served());
    }
    result
}

async fn read_and_print(
    arguments: &arguments::Status,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let Some(version) = schema::installed_version(&client).await? else {
        if arguments.json {
            println!(
                "{}",
                serde_json::json!({ "schema_version": null, "served": false })
            );
        }
        return Err(schema::Error::NotInstalled.into());
    };
    let mut status = status::read(&client, Some(version)).await?;
    if status.paused.is_none() {
        let faults = schema::faults(&client, &settings.site).await?;
        status.problems = faults.iter().map(ToString::to_string).collect();
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&status)?);
    } else if arguments.metrics {
        print!("{}", metrics::text(&status));
    } else {
        print(&status, target);
    }
    Ok(if status.served && status.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(status: &Status, target: &Target) {
    println!(
        "{}",
        target.describe().replacen("database ", "database   ", 1)
    );
    println!(
        "schema     version {}",
        status.schema_version.unwrap_or_default()
    );
    if status.served {
        println!("served     yes");
    } else {
        println!(
            "served     no: until `session-reaper run` is started, and its revoking works, a changing transaction ends the linked sessions itself"
        );
    }
    if let Some(Pause { since, by, .. }) = &status.paused {
        println!(
            "paused     since {since} by {by}: nothing is ended or purged until `session-reaper resume`"
        );
    }
    for problem in &status.problems {
        println!("problem    {problem}");
    }
    println!("linked     {}", count_of(status.linked_sessions, "session"));
    for (about, says) in status.unread.lines() {
        println!("{about:<10} {says}");
    }
    println!(
        "pending    {} requested, {} being settled{}",
        status.requested,
        status.revoked,
        oldest(status)
    );
    if status.failing > 0 {
        println!(
            "failing    {}; see the daemon's log",
            count_of(status.failing, "revocation")
        );
    }
    if status.waited_out > 0 {
        println!(
            "given up   {} settled without a transaction that stayed open too long",
            count_of(status.waited_out, "revocation")
        );
    }
    for wait in &status.waits_for {
        println!(
            "waits for  {}, for {:.0} s, {}",
            wait.describe(),
            wait.waited_s,
            count_of(wait.revocations, "revocation")
        );
    }
    for (about, says) in status.cache.lines() {
        println!("{about:<10} {says}");
    }
    match &status.last_purge {
        Some(purge) => println!(
            "last purge {:.0} s ago: {} in {} ms",
            purge.ago_s,
            count_of(purge.sessions, "session"),
            purge.duration_ms
        ),
        None => println!("last purge none yet"),
    }
}

fn oldest(status: &Status) -> String {
    status
        .oldest_open_s
        .map_or_else(String::new, |age| format!("; the oldest for {age:.0} s"))
}
