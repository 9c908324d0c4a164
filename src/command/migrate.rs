//! `migrate` and `uninstall`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use super::Failure;
use crate::{connection::Target, schema, settings::Settings};

pub async fn migrate(target: &Target, settings: &Settings) -> Result<ExitCode, Failure> {
    let installed = schema::migrate(target, &settings.site).await?;
    for (what, names) in [
        ("migration", installed.migrations),
        ("reference", installed.references),
        (
            "functions",
            installed
                .behaviour
                .iter()
                .map(|name| format!("sql/{name}.sql"))
                .collect(),
        ),
        ("trigger", installed.triggers),
        ("taken off", installed.detached),
        ("expiry", Vec::from_iter(installed.expiry)),
    ] {
        for name in names {
            println!("{what:<10} {name}");
        }
    }
    println!("session-reaper is installed in {}", target.describe());
    Ok(ExitCode::SUCCESS)
}

pub async fn uninstall(target: &Target, yes: bool) -> Result<ExitCode, Failure> {
    if !yes && !confirmed(target)? {
        return Err(Failure::Setting(anyhow::anyhow!(
            "nothing was removed; say --yes to remove it without a question"
        )));
    }
    schema::uninstall(target).await?;
    println!("session-reaper is removed from {}", target.describe());
    Ok(ExitCode::SUCCESS)
}

fn confirmed(target: &Target) -> std::io::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    print!(
        "Remove session-reaper, its links and its record of revocations from {}? [y/N] ",
        target.describe()
    );
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
