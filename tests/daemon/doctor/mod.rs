//! `doctor` finds each ailment, says what to do, and finds none where there is none.

mod ailments;
mod caches;
mod rights;
mod told;
mod work;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::stage::{
    Database,
    program::{Ended, run},
};
use ailments::AILMENTS;
use rights::ON_A_CONNECTION;
use work::WITHOUT_A_DAEMON;

fn findings(ended: &Ended) -> Vec<Value> {
    serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr))
}

/// What is not "ok", as `check verdict: sentence`.
fn ailments(ended: &Ended) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ailing = findings(ended).into_iter().filter(|f| f["verdict"] != "ok");
    ailing
        .map(|f| {
            format!(
                "{} {}: {}",
                text(&f["check"]),
                text(&f["verdict"]),
                text(&f["says"])
            )
        })
        .collect()
}

/// The finding with this name.
fn named(ended: &Ended, id: &str) -> Option<Value> {
    findings(ended).into_iter().find(|f| f["id"] == id)
}

async fn examine(database: &Database) -> Ended {
    run(database.url(), &["doctor", "--json"]).await
}

/// By a list above, or by a test that looks for it by its name.
#[test]
fn every_finding_has_a_test_that_plants_its_cause() {
    let listed = AILMENTS.iter().map(|(.., id, _)| *id);
    let of_connections = ON_A_CONNECTION.iter().map(|(_, id, _)| *id);
    let mut planted: BTreeSet<&str> = listed.chain(of_connections).collect();
    planted.extend(WITHOUT_A_DAEMON.iter().map(|(id, _)| *id));
    let tests = [
        include_str!("caches.rs"),
        include_str!("rights.rs"),
        include_str!("told.rs"),
        include_str!("work.rs"),
    ];
    let asked = tests.iter().flat_map(|text| text.split("named(&").skip(1));
    planted.extend(asked.filter_map(|behind| behind.split('"').nth(1)));
    let canary = include_str!("../canary/harm.rs");
    let of_canary = ["canary.failed", "canary.stale"];
    planted.extend(of_canary.iter().filter(|id| canary.contains(**id)));
    for id in session_reaper::settings::FINDINGS {
        assert!(planted.contains(id), "nobody plants {id}");
    }
}

/// Which of them there are, docs/doctor.md says, and how they are printed.
#[test]
fn every_finding_is_documented_and_looked_for_and_no_other() {
    let docs = include_str!("../../../docs/doctor.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.contains('.'))
        .collect();
    assert_eq!(documented, session_reaper::settings::FINDINGS);
    let code = [
        include_str!("../../../src/doctor/cache.rs"),
        include_str!("../../../src/doctor/canary.rs"),
        include_str!("../../../src/doctor/connection.rs"),
        include_str!("../../../src/doctor/installation.rs"),
        include_str!("../../../src/doctor/mod.rs"),
        include_str!("../../../src/doctor/server.rs"),
        include_str!("../../../src/doctor/tables.rs"),
        include_str!("../../../src/doctor/work.rs"),
    ]
    .concat();
    for id in documented {
        assert!(code.contains(&format!("\"{id}\"")), "nobody finds {id}");
    }
}
