//! `status`: how it stands, for a person or for a script.

use std::process::ExitCode;

use super::Failure;
use crate::{
    connection::Target,
    schema::{self, Pause},
    settings::Settings,
    status::{self, Status},
};

pub async fn status(target: &Target, settings: &Settings, json: bool) -> Result<ExitCode, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let Some(version) = schema::installed_version(&client).await? else {
        if json {
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
    if json {
        println!("{}", serde_json::to_string(&status)?);
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
            "served     no: until `session-reaper run` is started, a changing transaction ends the linked sessions itself"
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
    println!("linked     {} sessions", status.linked_sessions);
    println!(
        "pending    {} requested, {} being settled{}",
        status.requested,
        status.revoked,
        oldest(status)
    );
    if status.failing > 0 {
        println!(
            "failing    {} revocations; see the daemon's log",
            status.failing
        );
    }
    if status.waited_out > 0 {
        println!(
            "given up   {} revocations settled without a transaction that stayed open too long",
            status.waited_out
        );
    }
    for wait in &status.waits_for {
        println!(
            "waits for  {}, for {:.0} s, {} revocations",
            wait.describe(),
            wait.waited_s,
            wait.revocations
        );
    }
    match &status.last_purge {
        Some(purge) => println!(
            "last purge {:.0} s ago: {} sessions in {} ms",
            purge.ago_s, purge.sessions, purge.duration_ms
        ),
        None => println!("last purge none yet"),
    }
}

fn oldest(status: &Status) -> String {
    status
        .oldest_open_s
        .map_or_else(String::new, |age| format!("; the oldest for {age:.0} s"))
}
