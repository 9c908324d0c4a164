//! The scenes. Each does something to the site, waits for what the daemon does, and checks its own claim
//! against the database; what it prints with a tick has been seen there.

mod load;
mod race;
mod single;

use super::error::{Error, check};
use super::measure::{self, Spread};
use super::narrator::{count, rate, time};
use super::site;
use super::stage::Stage;

/// What the scenes have measured.
pub struct Measured {
    memory_before: Option<f64>,
    latency: (usize, Spread),
    bulk: load::Bulk,
    purge: load::Purge,
}

/// Plays all scenes.
pub async fn play(stage: &mut Stage, url: &str) -> Result<Measured, Error> {
    let memory_before = measure::resident_mib();
    single::password_change(stage).await?;
    single::kept_session(stage).await?;
    single::by_hand(stage).await?;
    race::roll_back(stage).await?;
    race::login_in_flight(stage, url).await?;
    let bulk = load::bulk_reset(stage).await?;
    let latency = load::single_changes(stage).await?;
    let purge = load::purge(stage).await?;
    Ok(Measured {
        memory_before,
        latency,
        bulk,
        purge,
    })
}

/// The last word: the numbers, and that no bystander was harmed on the way.
pub async fn sum_up(stage: &Stage, measured: &Measured) -> Result<(), Error> {
    let Measured {
        memory_before,
        latency,
        bulk,
        purge,
    } = measured;
    let bystanders = &stage.bystanders;
    let alive = site::count(&stage.observer, bystanders).await?;
    check(alive == bystanders.len(), || {
        format!(
            "all {} bystanders should live on, but {alive} do",
            bystanders.len()
        )
    })?;
    let narrator = &stage.narrator;
    let build = if cfg!(debug_assertions) {
        " (debug build)"
    } else {
        ""
    };
    narrator.heading(&format!("Measured{build}"));
    narrator.item(
        "latency",
        &format!(
            "median {}, worst {} from commit to session gone, over {}",
            time(latency.1.median),
            time(latency.1.worst),
            count(latency.0, "single change"),
        ),
    );
    narrator.item(
        "bulk reset",
        &format!(
            "{} in {}: {}",
            count(bulk.sessions, "session"),
            time(bulk.took),
            rate(bulk.sessions, bulk.took),
        ),
    );
    narrator.item(
        "purge",
        &format!("{}, pauses included", rate(purge.sessions, purge.took),),
    );
    if let (Some(before), Some(after)) = (memory_before, measure::resident_mib()) {
        narrator.item("memory", &format!(
            "{before:.1} MiB resident before the first scene, {after:.1} MiB now, daemon and demo together",
        ));
    }
    narrator.item(
        "bystanders",
        &format!("{alive} of {} unharmed", bystanders.len()),
    );
    Ok(())
}
