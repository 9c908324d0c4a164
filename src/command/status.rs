//! `status`: how it stands, for a person, for a script or for a monitor.

use std::process::ExitCode;

use super::{Failure, arguments, screen::Screen};
use crate::{
    connection::Target,
    schema,
    settings::Settings,
    status::{
        self, Status,
        lines::{Line, Tone},
        metrics,
    },
};

pub async fn status(
    arguments: &arguments::Status,
    target: &Target,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    let mut served = false;
    let result = read_and_print(arguments, target, settings, &mut served).await;
    if arguments.metrics && result.is_err() {
        // An alarm on it must not be silenced by a server that is down, nor raised by a lock.
        print!("{}", metrics::text_without_figures(served));
    }
    result
}

/// Prints what it can, and notes whether the database is served even where the rest cannot be read.
async fn read_and_print(
    arguments: &arguments::Status,
    target: &Target,
    settings: &Settings,
    served: &mut bool,
) -> Result<ExitCode, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    if schema::installed_version(&client).await?.is_none() {
        if arguments.json {
            println!(
                "{}",
                serde_json::json!({ "schema_version": null, "served": false })
            );
        }
        return Err(schema::Error::NotInstalled.into());
    }
    *served = status::is_served(&client).await?;
    let status = status::read_whole(&client, settings).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&status)?);
    } else if arguments.metrics {
        print!("{}", metrics::text(&status));
    } else {
        print(&status, target);
    }
    let is_well = status.served && status.problems.is_empty() && status.unknown.is_empty();
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(status: &Status, target: &Target) {
    let screen = Screen::on_stdout();
    for line in [of_database(target)].iter().chain(&status.lines()) {
        println!("{}", screen.line(line));
    }
}

/// Which database this is about.
pub fn of_database(target: &Target) -> Line {
    let described = target.describe();
    Line {
        about: "database",
        says: described
            .strip_prefix("database ")
            .unwrap_or(&described)
            .to_owned(),
        tone: Tone::Plain,
    }
}
