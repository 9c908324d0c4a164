//! `revoke --all --rehearse`: what the switch for a breach would do, without throwing it.

use std::{process::ExitCode, time::Instant};

use serde::Serialize;
use tokio_postgres::Client;

use super::{Failure, arguments::Revoke};
use crate::{
    connection::Error,
    process::shutdown::Stop,
    settings::Settings,
    status::linking,
    wording::{count, count_of},
    worker::passing::past_locks,
};

/// As `--json` prints it.
#[derive(Debug, Serialize)]
struct Rehearsal {
    /// Sessions that would end: those that are linked.
    sessions: i64,
    /// Users who have one that has not expired: this many logins will follow, when all of them come back.
    logins: i64,
    /// Writes that would be read for their users first, and may be more sessions.
    pending_links: i64,
    /// How many sessions were ended in the transaction that was rolled back.
    rehearsed_sessions: i64,
    /// How long that took, and held their locks, in milliseconds.
    rehearsed_ms: f64,
    /// How long all of it would take, in seconds.
    duration_s: f64,
}

pub async fn rehearse(
    arguments: &Revoke,
    settings: &Settings,
    client: &Client,
) -> Result<ExitCode, Failure> {
    let rehearsal = past_locks(&Stop::default(), async || {
        look(client, settings, arguments.per_second).await
    })
    .await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&rehearsal)?);
    } else {
        print(&rehearsal);
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(
    client: &Client,
    settings: &Settings,
    per_second: Option<u32>,
) -> Result<Rehearsal, Error> {
    // Counting millions takes longer than a daemon's statement may, and holds nothing.
    client
        .batch_execute("set statement_timeout = '10min'")
        .await?;
    let row = client
        .query_one(
            "-- command::rehearsal::look
            select (select count(*) from session_reaper.user_session), count(distinct s.user_id)
            from session_reaper.live_session s",
            &[],
        )
        .await?;
    let (sessions, logins): (i64, i64) = (row.get(0), row.get(1));
    let (rehearsed_sessions, rehearsed_ms) = end_some(client, settings).await?;
    let pages = (sessions as f64 / f64::from(settings.revoke.batch_rows)).ceil();
    // As much rest as work.
    let unpaced_s = pages * 2.0 * rehearsed_ms / 1000.0;
    let paced_s = per_second.map_or(0.0, |most| sessions as f64 / f64::from(most));
    Ok(Rehearsal {
        sessions,
        logins,
        pending_links: linking::read(client).await?.pending,
        rehearsed_sessions,
        rehearsed_ms,
        duration_s: unpaced_s.max(paced_s),
    })
}

/// One batch in a transaction that is rolled back, so that no listener hears of it. Not everything, which would lock every
/// session for as long as it takes.
async fn end_some(client: &Client, settings: &Settings) -> Result<(i64, f64), Error> {
    client
        .batch_execute("reset statement_timeout; begin")
        .await?;
    let begun = Instant::now();
    let ended = ask_and_sweep(client, settings).await;
    let took_ms = begun.elapsed().as_secs_f64() * 1000.0;
    client.batch_execute("rollback").await?;
    Ok((ended?, took_ms))
}

/// Only the first batch, even where no daemon serves: the change is told not to end any sessions itself.
async fn ask_and_sweep(client: &Client, settings: &Settings) -> Result<i64, Error> {
    let row = client
        .query_one(
            "-- command::rehearsal::ask_and_sweep
            select session_reaper.revoke_all('rehearsal')",
            &[],
        )
        .await?;
    let revocation: i64 = row.get(0);
    client
        .execute(
            "-- command::rehearsal::ask_and_sweep
            update session_reaper.revocation r set tried_inline = true where r.id = $1",
            &[&revocation],
        )
        .await?;
    let most = i32::try_from(settings.revoke.batch_rows).unwrap_or(i32::MAX);
    let row = client
        .query_one(
            "-- command::rehearsal::ask_and_sweep
            select s.ended from session_reaper.sweep_everyone($1, $2, $3) s",
            &[
                &revocation,
                &most,
                &(settings.revoke.write_back_grace_s > 0),
            ],
        )
        .await?;
    Ok(row.get(0))
}

fn print(rehearsal: &Rehearsal) {
    let of = |number: i64| u64::try_from(number).unwrap_or_default();
    println!(
        "{} would end, in about {:.1} s",
        count_of(rehearsal.sessions, "session"),
        rehearsal.duration_s
    );
    println!(
        "{} will follow, when all of their users come back",
        count(of(rehearsal.logins), "login")
    );
    if rehearsal.pending_links > 0 {
        println!(
            "{} of sessions would be read for users first, and may be more sessions",
            count(of(rehearsal.pending_links), "write")
        );
    }
    println!(
        "rehearsed with {} in {:.0} ms, and rolled back: nothing has ended",
        count(of(rehearsal.rehearsed_sessions), "session"),
        rehearsal.rehearsed_ms
    );
}
