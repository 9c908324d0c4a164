//! What the canary asks of the database.

use std::time::Duration;

use crate::{
    connection::{Database, Error},
    settings::Canary,
};

/// What came of the attempt to begin.
pub(super) enum Begun {
    /// A run has begun.
    Now,
    /// The next one is due after this.
    NotYet(Duration),
    /// Another daemon has one, or the site is paused.
    No,
    /// It has failed at once.
    Failed,
}

/// How far a run is.
pub(super) enum Outcome {
    /// It is not over.
    Waiting,
    /// All is well.
    Succeeded,
    /// No record of it is left.
    Unknown,
    /// It has failed.
    Failed,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no setting is longer than a day"
)]
fn seconds(setting: u64) -> f64 {
    setting as f64
}

pub(super) async fn begin(database: &Database, canary: &Canary) -> Result<Begun, Error> {
    let row = database
        .query_one(
            "-- canary::run::begin
            select b.outcome, b.rest_s from session_reaper.canary_begin($1, $2, $3) b",
            &[
                &canary.user,
                &seconds(canary.interval_s),
                &seconds(canary.timeout_s),
            ],
        )
        .await?;
    let rest_s: f64 = row.get(1);
    Ok(match row.get(0) {
        "begun" => Begun::Now,
        "failed" => Begun::Failed,
        _ if rest_s > 0.0 => Begun::NotYet(Duration::from_secs_f64(rest_s)),
        _ => Begun::No,
    })
}

/// Whether it could be asked for.
pub(super) async fn ask(database: &Database) -> Result<bool, Error> {
    let ask = "-- canary::run::ask
        select session_reaper.canary_ask()";
    Ok(database.query_one(ask, &[]).await?.get(0))
}

pub(super) async fn look(database: &Database, canary: &Canary) -> Result<Outcome, Error> {
    let row = database
        .query_one(
            "-- canary::run::look
            select session_reaper.canary_look($1)",
            &[&seconds(canary.timeout_s)],
        )
        .await?;
    Ok(match row.get(0) {
        "waiting" => Outcome::Waiting,
        "failed" => Outcome::Failed,
        "succeeded" => Outcome::Succeeded,
        _ => Outcome::Unknown,
    })
}

/// What the last run has failed at, in the words of `status`.
pub(super) async fn failure(database: &Database) -> Result<Option<String>, Error> {
    database
        .work(async |client| Ok(crate::status::canary::read(&client).await?.failure()))
        .await
}

pub(super) async fn switch_off(database: &Database) -> Result<(), Error> {
    let off = "-- canary::run::switch_off
        select session_reaper.canary_off()";
    database.execute(off, &[]).await?;
    Ok(())
}
