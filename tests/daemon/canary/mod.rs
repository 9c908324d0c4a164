//! The canary says whether a revocation would work now: it succeeds where one would, fails where none would, says so wherever
//! people look, and neither ends a session of anybody's nor leaves one behind.

mod harm;
mod outside;
mod secrecy;
mod shapes;
mod works;

use serde_json::Value;
use session_reaper::settings::Settings;

use crate::stage::{
    Database, connect,
    program::{Ended, run, run_with},
    server, wait_until,
};

/// One that runs each second, for this user if any.
fn settings(user: Option<&str>) -> Settings {
    let mut settings = Settings::default();
    settings.canary.interval_s = 1;
    settings.canary.user = user.map(str::to_owned);
    settings.site.canary_user = user.map(str::to_owned);
    settings
}

/// Where it gives up soon, but never on a machine that is merely busy.
fn impatient(user: &str) -> Settings {
    let mut settings = settings(Some(user));
    settings.canary.timeout_s = 5;
    settings
}

/// A site with the canary's user, and another one.
async fn site() -> (Database, String, i32) {
    let database = Database::create_bare(server()).await;
    let users = database.users(2).await;
    let canary = users[0].to_string();
    database.migrate_with(&settings(Some(&canary))).await;
    (database, canary, users[1])
}

async fn seen(database: &Database) -> Value {
    let said = run(database.url(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    status["canary"].clone()
}

/// Waits until a run has succeeded that began after this was called.
async fn succeeds(database: &Database) {
    let now = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
    let now = database.number(now).await;
    let since = format!(
        "select count(*) from session_reaper.canary
         where failed_stage is null and finished_at = succeeded_at and extract(epoch from began_at) * 1000 > {now}"
    );
    wait_until("a run has succeeded", || async {
        database.number(&since).await == 1
    })
    .await;
}

/// Waits until a run has failed at this.
async fn fails(database: &Database, stage: &str) {
    let failed =
        format!("select count(*) from session_reaper.canary where failed_stage = '{stage}'");
    wait_until(&format!("a run has failed at {stage}"), || async {
        database.number(&failed).await == 1
    })
    .await;
}

async fn sessions(database: &Database) -> i64 {
    let all = "select count(*) from django_session";
    database.number(all).await
}

/// What `doctor` says of it, with the settings of the daemon but for the interval, which no file may have so short.
async fn doctor(database: &Database, user: &str) -> (Ended, Value) {
    let variables = [
        ("SESSION_REAPER_CANARY_INTERVAL_S", "10"),
        ("SESSION_REAPER_CANARY_USER", user),
    ];
    let ended = run_with(database.url(), &["doctor", "--json"], &variables).await;
    let findings: Value = serde_json::from_str(&ended.stdout).unwrap();
    let is_its = |finding: &&Value| finding["check"] == "canary";
    let its = findings.as_array().unwrap().iter().find(is_its);
    let its = its.unwrap().clone();
    (ended, its)
}
