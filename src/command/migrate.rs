//! `migrate` and `uninstall`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use super::Failure;
use crate::{connection::Target, listening, schema, settings::Settings, wording::count_of};

pub async fn migrate(target: &Target, settings: &Settings) -> Result<ExitCode, Failure> {
    check_direct(target, settings).await?;
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
    if installed.unread > 0 {
        println!(
            "unread     {} from before: `session-reaper run` reads them for their users in the background, `session-reaper link` at once; until then a revocation may miss some, and does not settle",
            count_of(installed.unread, "session")
        );
    }
    println!("session-reaper is installed in {}", target.describe());
    Ok(ExitCode::SUCCESS)
}

pub async fn uninstall(
    target: &Target,
    settings: &Settings,
    yes: bool,
) -> Result<ExitCode, Failure> {
    if !yes && !confirmed(target)? {
        return Err(Failure::Setting(anyhow::anyhow!(
            "nothing was removed; say --yes to remove it without a question"
        )));
    }
    check_direct(target, settings).await?;
    schema::uninstall(target).await?;
    println!("session-reaper is removed from {}", target.describe());
    Ok(ExitCode::SUCCESS)
}

/// Both hold a lock of their session while they work, and set how long its statements wait for the site's.
async fn check_direct(target: &Target, settings: &Settings) -> Result<(), Failure> {
    let patience = Duration::from_secs(settings.listen.heartbeat_s);
    match listening::check_direct(target, patience).await {
        // What comes next has a better sentence for it.
        Err(error) if error.is_read_only() => Ok(()),
        result => Ok(result?),
    }
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
