//! The alert rules and the dashboard in docs/monitoring name metrics that exist. Prometheus evaluates one that does not
//! exist to nothing, and an alarm that never rings looks like good news. So does a metric that never moves: each has a test
//! that plants its cause.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    monitor::asking::watched,
    stage::{
        Database,
        figures::{metrics, plain},
        wait_until,
    },
};

const ALERTS: &str = include_str!("../../../docs/monitoring/alerts.yml");
const CASES: &str = include_str!("../../../docs/monitoring/alerts_test.yml");
const REFERENCE: &str = include_str!("../../../docs/reference.md");
const DASHBOARD: &str = include_str!("../../../docs/monitoring/dashboard.json");

/// The names of metrics of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("session_reaper_"))
        .map(str::to_owned)
        .collect()
}

/// What a daemon shows once everything has happened that a metric waits for.
async fn shown() -> String {
    let database = Database::create().await;
    database
        .batch_execute(
            "update session_reaper.purge set finished_at = now(), tick = now();
             update session_reaper.eviction set failing_since = now(), confirmed_at = now();
             insert into session_reaper.unreadable (reason, writes) values ('not_key', 1);
             insert into session_reaper.trouble (daemon, worker, since, attempts, sqlstate) values ('x', 'purger', now(), 3, '42501')",
        )
        .await
        .unwrap();
    metrics(&database).await;
    let (daemon, port) = watched(database.url()).await;
    daemon.serves().await;
    daemon.signal("HUP");
    let mut report = database.connect().await;
    let open = report.transaction().await.unwrap();
    open.batch_execute("select 1").await.unwrap();
    let user = database.users(1).await[0];
    database.change_password(user).await;
    let shown = async || port.get("/metrics").await.said(200);
    // Again and again, since a daemon without a canary tidies up at its start.
    let canary = "update session_reaper.canary set began_at = now(), succeeded_at = now(), gone_s = 0.5, settled_s = 0.5";
    wait_until("a revocation is open and a reload is over", || async {
        database.batch_execute(canary).await.unwrap();
        let names = named(&shown().await);
        ["oldest_open_revocation", "last_reload", "canary"]
            .iter()
            .all(|name| names.contains(&format!("session_reaper_{name}_timestamp_seconds")))
    })
    .await;
    shown().await
}

#[tokio::test]
async fn every_alert_and_every_plot_names_metrics_that_exist() {
    let shown = named(&shown().await);
    for (what, text) in [
        ("alerts", ALERTS),
        ("their tests", CASES),
        ("dashboard", DASHBOARD),
    ] {
        let named = named(text);
        assert!(named.len() > 5, "{what}");
        let unknown: Vec<_> = named
            .iter()
            // The name of the file that the timer writes.
            .filter(|name| !shown.contains(*name) && *name != "session_reaper_")
            .collect();
        assert!(
            unknown.is_empty(),
            "{what}: {unknown:?} are not among {shown:?}"
        );
    }
}

/// The files of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(below).collect()
}

fn texts(folder: &str) -> impl Iterator<Item = String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    files(&folder)
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap())
}

/// Each literal with what is written behind it.
fn literals(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('"').filter_map(|(at, _)| {
        let (literal, behind) = text[at + 1..].split_once('"')?;
        Some((literal, behind.strip_prefix(',')?.trim_start()))
    })
}

/// The names that the program's text gives to metrics: those before a sentence of help.
fn made() -> BTreeSet<String> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let has_help = |behind: &str| {
        let kind = behind.strip_prefix("MetricType::");
        let help = kind.map_or(Some(behind), |kind| {
            Some(kind.split_once(',')?.1.trim_start())
        });
        let help = help.and_then(|help| help.strip_prefix('"')?.split('"').next());
        help.is_some_and(|help| help.contains(' '))
    };
    let mut made = BTreeSet::new();
    for text in texts("src").filter(|text| text.contains("MetricType") || text.contains("Registry"))
    {
        let names = literals(&text).filter(|(name, behind)| is_name(name) && has_help(behind));
        made.extend(names.map(|(name, _)| name.to_owned()));
    }
    made
}

/// What a test asserts to move: see [`Move`](crate::stage::figures::Move).
fn planted() -> BTreeSet<String> {
    let is_value = |behind: &str| {
        ["Nothing,", "Exactly(", "AtLeast("]
            .iter()
            .any(|said| behind.starts_with(said))
    };
    let mut planted = BTreeSet::new();
    for text in texts("tests/daemon") {
        let samples = literals(&text).filter(|(_, behind)| is_value(behind));
        planted.extend(samples.map(|(sample, _)| sample.to_owned()));
    }
    planted
}

/// With each of its labels.
#[tokio::test]
async fn every_metric_has_a_test_that_plants_its_cause_and_sees_it_move() {
    let shown = shown().await;
    let types = shown
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE session_reaper_"));
    let names: BTreeSet<String> = types
        .map(|line| {
            line.split(' ')
                .next()
                .unwrap()
                .trim_end_matches("_total")
                .to_owned()
        })
        .collect();
    // Or one that shows only now and then would be forgotten here.
    assert_eq!(names, made());
    let planted = planted();
    let samples = shown
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    for line in samples {
        let sample = plain(line.split(' ').next().unwrap());
        let name = sample.split('{').next().unwrap();
        assert!(
            planted.contains(&sample) || planted.contains(name),
            "nobody plants what moves {sample}"
        );
    }
}

/// The labels of a metric, as they stand behind its name in the reference.
fn labels(shown: &str, name: &str) -> String {
    let samples = shown.lines().filter_map(|line| {
        let behind = line.strip_prefix(name)?;
        let behind = ["_count", "_sum", "_bucket"]
            .iter()
            .find_map(|part| behind.strip_prefix(part))
            .unwrap_or(behind);
        behind.strip_prefix('{')?.split('}').next()
    });
    let labels: BTreeSet<&str> = samples
        .flat_map(|labels| labels.split(','))
        .filter_map(|label| label.split('=').next())
        // Prometheus makes the buckets of every histogram so.
        .filter(|label| *label != "le")
        .collect();
    match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[tokio::test]
async fn the_reference_has_every_metric_with_its_type_its_labels_and_its_help() {
    let shown = shown().await;
    let mut rows = BTreeSet::new();
    for line in shown.lines() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|h| h.split_once(' '))
        else {
            continue;
        };
        let kind = format!("# TYPE {name} ");
        let kind = shown.lines().find_map(|line| line.strip_prefix(&kind));
        let (kind, help) = (kind.unwrap(), help.trim_end_matches('.'));
        rows.insert(format!(
            "| `{name}{}` | {kind} | {help} |",
            labels(&shown, name)
        ));
    }
    let (_, section) = REFERENCE.split_once("## Metrics\n").unwrap();
    let documented: BTreeSet<String> = section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(str::to_owned)
        .collect();
    let all: Vec<_> = rows.iter().cloned().collect();
    assert!(documented == rows, "{}", all.join("\n"));
}

#[test]
fn every_alert_has_a_test_that_plants_its_cause_and_one_in_which_it_is_silent() {
    for alert in ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let cases: Vec<_> = CASES
            .split("alertname: ")
            .skip(1)
            .filter(|case| case.lines().next() == Some(alert))
            .collect();
        let silent = cases
            .iter()
            .filter(|case| case.contains("exp_alerts: []"))
            .count();
        assert!(silent > 0 && cases.len() > silent, "{alert}");
    }
}
