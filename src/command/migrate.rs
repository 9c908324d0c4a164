//! `migrate` and `uninstall`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use super::Failure;
use crate::{
    connection::Target, process::shutdown::Stop, revoke::channel::direct, schema,
    settings::Settings, status, wording::count_of, worker::passing::past_locks,
};

pub async fn migrate(
    target: &Target,
    settings: &Settings,
    new_role: Option<&str>,
) -> Result<ExitCode, Failure> {
    check_direct(target, settings).await?;
    if let Some(role) = new_role {
        create_role(target, settings, role).await?;
    }
    let migrate = async || schema::migrate(target, &settings.site).await;
    let installed = past_locks(&Stop::default(), migrate).await?;
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
    if installed.unlinked > 0 {
        println!(
            "unlinked   {} from before: `session-reaper run` reads them for their users in the background, `session-reaper link` at once; until then a revocation may miss some, and does not settle",
            count_of(installed.unlinked, "session")
        );
    }
    println!("session-reaper is installed in {}", target.describe());
    Ok(ExitCode::SUCCESS)
}

async fn create_role(target: &Target, settings: &Settings, role: &str) -> Result<(), Failure> {
    if settings.site.daemon_role.as_deref() != Some(role) {
        return Err(Failure::Setting(anyhow::anyhow!(
            "nothing was done: the service has to know the role, too, so write daemon_role = \"{role}\" under [site] in the file of settings"
        )));
    }
    if schema::create_role(target, role, settings.database.pool_size).await? {
        println!(
            "role       {role}, which may log in and nothing else; it has no password, and peer authentication needs none: otherwise set one with \\password in psql"
        );
    } else {
        println!("role       {role} is there, and stays as it is");
    }
    Ok(())
}

/// For operators who have the SQL read first.
pub async fn print(target: &Target, settings: &Settings) -> Result<ExitCode, Failure> {
    let sql = schema::preview(target, &settings.site).await?;
    if sql.is_empty() {
        println!(
            "-- Nothing: everything is in place in {}.",
            target.describe()
        );
    } else {
        print!("{sql}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What `uninstall` would take out.
pub async fn count_up(target: &Target) -> Result<ExitCode, Failure> {
    let found = schema::what_is_installed(target).await?;
    if found.is_empty() {
        println!(
            "session-reaper is not installed in {}, so there is nothing to remove",
            target.describe()
        );
    }
    for one in found {
        println!("{one}");
    }
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
    refuse_beside_a_daemon(target).await?;
    if past_locks(&Stop::default(), async || schema::uninstall(target).await).await? {
        println!("session-reaper is removed from {}", target.describe());
    } else {
        println!(
            "session-reaper is not installed in {}, so nothing was removed",
            target.describe()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Without its tables, a daemon could do nothing but complain.
async fn refuse_beside_a_daemon(target: &Target) -> Result<(), Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    if schema::installed_version(&client).await?.is_some() && status::is_served(&client).await? {
        return Err(Failure::Other(anyhow::anyhow!(
            "nothing was removed, because a daemon serves {}: stop it first, such as with: systemctl stop session-reaper@NAME",
            target.describe()
        )));
    }
    Ok(())
}

/// Both hold a lock of their session while they work, and set how long its statements wait for the site's.
async fn check_direct(target: &Target, settings: &Settings) -> Result<(), Failure> {
    let patience = Duration::from_secs(settings.listen.heartbeat_s);
    match direct::check_direct(target, patience).await {
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
