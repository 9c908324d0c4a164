//! `status`: how it stands, for a person or for a script.

use std::process::ExitCode;

use super::Failure;
use crate::{
    connection::Target,
    schema,
    status::{self, Status},
    wording::count_of,
};

pub async fn status(target: &Target, json: bool) -> Result<ExitCode, Failure> {
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
    let status = status::read(&client, Some(version)).await?;
    if json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        print(&status, target);
    }
    Ok(if status.served {
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
    println!("linked     {}", count_of(status.linked_sessions, "session"));
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
        let pid = wait
            .pid
            .map_or_else(String::new, |pid| format!(" of process {pid}"));
        let role = wait.role.as_deref().unwrap_or("an unknown role");
        let application = wait
            .application
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or("unnamed");
        println!(
            "waits for  the {} transaction{pid} ({role}, {application}), for {:.0} s, {}",
            wait.kind,
            wait.waited_s,
            count_of(wait.revocations, "revocation")
        );
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
