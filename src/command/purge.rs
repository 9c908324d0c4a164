//! `purge`: one pass now.

use std::process::ExitCode;

use indicatif::ProgressBar;

use super::{Failure, arguments::Purge, meter::style};
use crate::{
    connection::Target,
    process::shutdown::{self, Stop},
    purge::purger::{Purger, Report},
    schema,
    settings::Settings,
    wording::{count, count_of},
    worker::passing::past_locks,
};

pub async fn purge(
    arguments: &Purge,
    settings: Settings,
    target: &Target,
) -> Result<ExitCode, Failure> {
    let stop = Stop::default();
    shutdown::heed_signals(stop.clone(), std::sync::Arc::default())?;
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let check = async || {
        let site = schema::check(&client, &settings.site).await?;
        schema::check_expiry(&client, &site).await?;
        Ok::<_, schema::Error>(site)
    };
    let site = past_locks(&stop, check).await?;
    let purger = Purger::new(target.database()?, &site);
    let expired = past_locks(&stop, async || purger.count_expired().await).await?;
    if arguments.dry_run {
        print_count(expired, arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    // Hidden by itself where there is no terminal.
    let bar = ProgressBar::new(u64::try_from(expired).unwrap_or_default()).with_style(style(
        "purging {bar:40} {pos}/{len} sessions, {per_sec}, {eta} left",
    ));
    let report = purger
        .purge(&settings.purge, &stop, |sessions| {
            bar.set_position(sessions)
        })
        .await?;
    bar.finish_and_clear();
    past_locks(&stop, async || purger.remember(&report).await).await?;
    print(&report, arguments.json);
    Ok(if report.taken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_count(expired: i64, json: bool) {
    if json {
        println!("{}", serde_json::json!({ "expired_sessions": expired }));
    } else {
        println!("{} would be deleted", count_of(expired, "expired session"));
    }
}

fn print(report: &Report, json: bool) {
    let seconds = report.duration.as_secs_f64();
    if json {
        let report = serde_json::json!({
            "sessions": report.sessions,
            "revocations": report.revocations,
            "batches": report.batches,
            "duration_s": seconds,
            "taken": report.taken,
        });
        println!("{report}");
    } else if report.taken {
        println!(
            "{} deleted; left off because a daemon is purging",
            count(report.sessions, "expired session")
        );
    } else {
        println!(
            "{} deleted in {}, {seconds:.2} s",
            count(report.sessions, "expired session"),
            match report.batches {
                1 => "1 batch".to_owned(),
                batches => format!("{batches} batches"),
            }
        );
    }
}
