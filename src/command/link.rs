//! `link`: reads every session that is not linked yet, at once.

use std::{process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::{Failure, arguments::Link, meter::style};
use crate::{
    connection::{Error, Target},
    link::{bulk, linker::Linker},
    process::shutdown::{self, Stop},
    schema,
    settings::Settings,
    status::linking,
    wording::count_of,
    worker::InForce,
    worker::passing::past_locks,
};

/// Others are linking the rest: a daemon, or our own other connections.
const OTHERS_ARE_AT_IT: Duration = Duration::from_millis(20);

/// An operator who runs `link` does not want to wait. Each keeps a processor of the server busy at most, and so does
/// each of what the app has running meanwhile.
const CONNECTIONS: usize = 4;

/// Sessions of a page in which nearly all are linked already.
const CHECKED_ROWS: u32 = 10_000;

pub async fn link(
    arguments: &Link,
    settings: Settings,
    target: &Target,
) -> Result<ExitCode, Failure> {
    let stop = Stop::default();
    shutdown::heed_signals(stop.clone(), Arc::default())?;
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let site = past_locks(&stop, async || schema::check(&client, &settings.site).await).await?;
    if !site.user_source.is_in_session() {
        println!("nothing to read: by the settings, the app links its sessions itself");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.again {
        past_locks(&stop, async || backfill_again(&client).await).await?;
    }
    let begun = Instant::now();
    let (sender, settings) = InForce::new(settings);
    let linker = Linker::new(target.database()?, settings, site.user_source.clone());
    let before = linking::read(&client).await?;
    let total = before.sessions_estimated.unwrap_or_default();
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or_default()).with_style(style(
        "{msg} {bar:40} {pos} of about {len} sessions, {per_sec}, {eta} left",
    ));
    linker.drain_past_limits(&stop).await?;
    bar.set_message("linking");
    if link_beside(target, &site, &stop, &bar).await {
        sender.send_modify(|settings| {
            let link = &mut Arc::make_mut(settings).link;
            link.batch_rows = link.batch_rows.max(CHECKED_ROWS);
        });
        bar.set_message("checking");
    }
    let before = linking::read(&client).await?.sessions_backfilled;
    bar.set_position(u64::try_from(before).unwrap_or_default());
    try_join_all((0..CONNECTIONS).map(|_| backfill_pages(&linker, &client, &stop, &bar))).await?;
    // What was locked for a moment, by one of these connections too, has been put there.
    linker.drain_past_limits(&stop).await?;
    bar.finish_and_clear();
    print(arguments, &client, begun).await
}

/// Links nearly all of them the quick way, if it may; pages do what is left, and all of it otherwise.
async fn link_beside(target: &Target, site: &schema::Site, stop: &Stop, bar: &ProgressBar) -> bool {
    let built = bulk::build(target, site, bulk::WORTHWHILE, stop, |read| bar.inc(read));
    match built.await {
        Ok(Ok(())) => true,
        Ok(Err(obstacle)) => {
            tracing::info!(reason = %obstacle, "linking page by page");
            false
        }
        Err(error) => {
            tracing::info!(%error, "the links could not be built beside their table; linking page by page");
            false
        }
    }
}

async fn backfill_again(client: &tokio_postgres::Client) -> Result<(), Error> {
    client
        .batch_execute("/* command::link */ select session_reaper.backfill_again('asked for')")
        .await?;
    Ok(())
}

/// Reads pages until there are none left, including those of other readers. Each page is one transaction, so that several
/// may be read at once, and one that was interrupted is read by the next.
async fn backfill_pages(
    linker: &Linker,
    client: &tokio_postgres::Client,
    stop: &Stop,
    bar: &ProgressBar,
) -> Result<(), Error> {
    while !stop.is_stopped() {
        match linker.backfill_past_limits(stop).await? {
            Some(sessions) => bar.inc(u64::try_from(sessions).unwrap_or_default()),
            None if linking::read(client).await?.backfilled => break,
            None => tokio::time::sleep(OTHERS_ARE_AT_IT).await,
        }
    }
    Ok(())
}

async fn print(
    arguments: &Link,
    client: &tokio_postgres::Client,
    begun: Instant,
) -> Result<ExitCode, Failure> {
    let state = linking::read(client).await?;
    let seconds = begun.elapsed().as_secs_f64();
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "duration_s": seconds, "linking": state })
        );
    } else if state.backfilled {
        println!(
            "every session has been read, {} in all, in {seconds:.2} s",
            state.sessions_backfilled
        );
    } else {
        println!(
            "stopped after {}; run it again to go on, or leave the rest to the daemon",
            count_of(state.sessions_backfilled, "session")
        );
    }
    for (about, says) in state.lines().iter().filter(|_| !arguments.json) {
        println!("{about:<10} {says}");
    }
    Ok(if state.backfilled {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
