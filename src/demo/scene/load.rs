//! Many users, many sessions: how fast it is.

use std::time::{Duration, Instant};

use crate::demo::error::{Error, check};
use crate::demo::measure::Spread;
use crate::demo::narrator::{count, rate, time};
use crate::demo::site;
use crate::demo::stage::Stage;

const BULK_USERS: usize = 1000;
const BULK_SESSIONS_EACH: usize = 3;
const SINGLE_CHANGES: usize = 100;
const EXPIRED_SESSIONS: usize = 20_000;
const EXPIRED_PIECE: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the bulk reset measured.
pub struct Bulk {
    /// Sessions that ended.
    pub sessions: usize,
    /// From the commit until the last was gone.
    pub took: Duration,
}

/// What the purge measured.
pub struct Purge {
    /// Sessions that it deleted while it was watched.
    pub sessions: usize,
    /// How long that took, with the purge's own pauses.
    pub took: Duration,
}

/// After a breach: everybody gets a new password in one statement.
pub async fn bulk_reset(stage: &mut Stage) -> Result<Bulk, Error> {
    let names: Vec<String> = (1..=BULK_USERS)
        .map(|number| format!("member{number:04}"))
        .collect();
    stage.narrator.heading(&format!(
        "{} get a new password in one statement",
        count(BULK_USERS, "user")
    ));
    let users = site::sign_up(&stage.actor, &names).await?;
    let keys = site::log_in(&stage.actor, &users.repeat(BULK_SESSIONS_EACH)).await?;
    stage
        .narrator
        .act("update auth_user set password = … where username like 'member%'");
    site::change_passwords(&stage.actor, &users).await?;
    let took = stage.until_gone(&keys).await?;
    let settled = stage.until_all_settled(&users).await?;
    check(settled == keys.len(), || {
        format!(
            "the audit trail should count {} ended sessions, but it counts {settled}",
            keys.len()
        )
    })?;
    stage.narrator.fact(&format!(
        "{} ended, the last {} after the commit: {}",
        count(keys.len(), "session"),
        time(took),
        rate(keys.len(), took)
    ));
    Ok(Bulk {
        sessions: keys.len(),
        took,
    })
}

/// One change after the other: how long a single user's session outlives the change.
pub async fn single_changes(stage: &mut Stage) -> Result<(usize, Spread), Error> {
    stage.narrator.heading(&format!(
        "{}, one after the other",
        count(SINGLE_CHANGES, "change")
    ));
    let names: Vec<String> = (1..=SINGLE_CHANGES)
        .map(|number| format!("visitor{number:03}"))
        .collect();
    let users = site::sign_up(&stage.actor, &names).await?;
    let keys = site::log_in(&stage.actor, &users).await?;
    let mut series = Vec::with_capacity(users.len());
    for (user, key) in users.iter().zip(&keys) {
        site::change_password(&stage.actor, *user).await?;
        series.push(stage.until_gone(std::slice::from_ref(key)).await?);
        // So that the changes do not fall into step with the daemon's own timers.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
    }
    let spread = Spread::of(series);
    stage.narrator.fact(&format!(
        "each session was gone {} after its commit (median; the slowest {})",
        time(spread.median),
        time(spread.worst)
    ));
    Ok((users.len(), spread))
}

/// The scheduled purge, which runs every second here.
pub async fn purge(stage: &mut Stage) -> Result<Purge, Error> {
    stage.narrator.heading(&format!(
        "{} have expired",
        count(EXPIRED_SESSIONS, "session")
    ));
    let live = site::visit(&stage.actor, 200).await?;
    // In one transaction, so that one pass finds all of them; in pieces, so that they leave no mark on the
    // resident memory.
    let transaction = stage.actor.transaction().await?;
    for _ in 0..EXPIRED_SESSIONS / EXPIRED_PIECE {
        site::abandon(&transaction, EXPIRED_PIECE).await?;
    }
    transaction.commit().await?;
    let purge = watch_purge(stage).await?;
    stage.check_alive(&live, "that have not expired").await?;
    stage.narrator.fact(&format!(
        "the schedule has purged all of them: {}, pauses between its batches included",
        rate(purge.sessions, purge.took)
    ));
    stage
        .narrator
        .fact("sessions that have not expired live on");
    stage.bystanders.extend(live);
    Ok(purge)
}

// From the first look that finds some gone until the last is: what had gone by then is not counted.
async fn watch_purge(stage: &Stage) -> Result<Purge, Error> {
    let due = Instant::now();
    let sessions = loop {
        let left = site::count_expired(&stage.observer).await?;
        if left < EXPIRED_SESSIONS {
            break left;
        }
        check(due.elapsed() < PATIENCE, || {
            "the schedule should have purged expired sessions by now".to_owned()
        })?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let before = stage.last_purge().await?;
    let begun = Instant::now();
    while site::has_expired(&stage.observer).await? {
        check(begun.elapsed() < PATIENCE, || {
            "the purge should have come to an end".to_owned()
        })?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    // The pass rests once more and keeps its record; what comes after it is not to be mixed up with it.
    while stage.last_purge().await? == before {
        check(begun.elapsed() < PATIENCE, || {
            "the purge should leave a record".to_owned()
        })?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Purge { sessions, took })
}
