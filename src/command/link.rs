//! `link`: reads every session that nobody has linked, at once.

use std::{process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{Failure, arguments::Link};
use crate::{
    building,
    connection::Target,
    reader::Reader,
    schema,
    settings::Settings,
    shutdown::{self, Stop},
    status::unread,
    wording::count_of,
    worker::InForce,
};

/// Others have the rest in hand: a daemon, or our own other connections.
const OTHERS_ARE_AT_IT: Duration = Duration::from_millis(20);

/// Who says `link` does not want to wait. Each keeps a processor of the server busy at most, and so does each of what
/// the app has running meanwhile.
const CONNECTIONS: usize = 4;

/// Sessions of a page of which hardly any is not linked yet.
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
    let site = schema::check(&client, &settings.site).await?;
    if !site.reading.reads() {
        println!("nothing to read: by the settings, the app links its sessions itself");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.again {
        client
            .batch_execute("/* command::link */ select session_reaper.read_all_again('asked for')")
            .await
            .map_err(crate::connection::Error::from)?;
    }
    let begun = Instant::now();
    let (sender, settings) = InForce::new(settings);
    let reader = Reader::new(target.pool()?, settings, site.reading.clone());
    let before = unread::read(&client).await?;
    let total = before.sessions_estimated.unwrap_or_default();
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or_default()).with_style(style()?);
    drain(&reader).await?;
    bar.set_message("reading");
    if link_beside(target, &site, &stop, &bar).await {
        sender.send_modify(|settings| {
            let link = &mut Arc::make_mut(settings).link;
            link.batch_rows = link.batch_rows.max(CHECKED_ROWS);
        });
        bar.set_message("checking");
    }
    let before = unread::read(&client).await?.sessions_read;
    bar.set_position(u64::try_from(before).unwrap_or_default());
    try_join_all((0..CONNECTIONS).map(|_| read_pages(&reader, &client, &stop, &bar))).await?;
    // What was locked for a moment, by one of these connections too, has been put there.
    drain(&reader).await?;
    bar.finish_and_clear();
    print(arguments, &client, begun).await
}

/// Links nearly all of them the quick way, if it may; pages do what is left, and all of it otherwise.
async fn link_beside(target: &Target, site: &schema::Site, stop: &Stop, bar: &ProgressBar) -> bool {
    let built = building::build(target, site, building::WORTHWHILE, stop, |read| {
        bar.inc(read)
    });
    match built.await {
        Ok(built) => built,
        Err(error) => {
            tracing::info!(%error, "the links could not be built beside their table; reading page by page");
            false
        }
    }
}

/// Another `link` may be building, and keep the queue for as long.
async fn drain(reader: &Reader) -> Result<(), crate::connection::Error> {
    loop {
        match reader.drain().await {
            Err(error) if error.is_lock_timeout() => tokio::time::sleep(OTHERS_ARE_AT_IT).await,
            result => return result,
        }
    }
}

/// Reads pages until there are none left, nobody else's either. Each page is one transaction, so that several may be read
/// at once, and one that was interrupted is read by the next.
async fn read_pages(
    reader: &Reader,
    client: &tokio_postgres::Client,
    stop: &Stop,
    bar: &ProgressBar,
) -> Result<(), crate::connection::Error> {
    while !stop.is_stopped() {
        match reader.read_page().await? {
            Some(sessions) => bar.inc(u64::try_from(sessions).unwrap_or_default()),
            None if unread::read(client).await?.table_read => break,
            None => tokio::time::sleep(OTHERS_ARE_AT_IT).await,
        }
    }
    Ok(())
}

fn style() -> Result<ProgressStyle, Failure> {
    Ok(ProgressStyle::with_template(
        "{msg} {bar:40} {pos} of about {len} sessions, {per_sec}, {eta} left",
    )?)
}

async fn print(
    arguments: &Link,
    client: &tokio_postgres::Client,
    begun: Instant,
) -> Result<ExitCode, Failure> {
    let state = unread::read(client).await?;
    let seconds = begun.elapsed().as_secs_f64();
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "duration_s": seconds, "unread": state })
        );
    } else if state.table_read {
        println!(
            "every session has been read, {} in all, in {seconds:.2} s",
            state.sessions_read
        );
    } else {
        println!(
            "stopped after {}; say it again to go on, or let the daemon",
            count_of(state.sessions_read, "session")
        );
    }
    for (about, says) in state.lines().iter().filter(|_| !arguments.json) {
        println!("{about:<10} {says}");
    }
    Ok(if state.table_read {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
