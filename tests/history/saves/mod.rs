//! Saves against revocations and purges: many clients save sessions, while the same ones expire and their users'
//! are revoked, and two daemons do both as fast as they can.
//!
//! No save may be lost, fail or be a deadlock's victim (P6). What was saved is known from the clients alone.

mod register;
mod saver;
mod table;
mod waits;

use std::{path::Path, sync::Arc, time::Duration};

use session_reaper::demo::server::{Options as ServerOptions, Server};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::{
    broken::rewrite,
    daemon::Launcher,
    ledger::Books,
    options::{More, Options},
    run::{self, Scratch},
    verdict::Verdict,
    world::World,
};
use saver::Saver;
use table::Table;

pub use register::{Register, Save};

const SAVERS: u64 = 24;

fn options(seed: u64, seconds: u64, sabotage: &str) -> Options {
    Options {
        run_for: Duration::from_secs(seconds),
        clients: 12,
        faults: false,
        more: Some(More::Revokes),
        sabotage: sabotage.to_owned(),
        ..Options::with_seed(seed)
    }
}

/// Runs it and prints what came of it.
async fn run(options: Options) -> Verdict {
    println!("{options:?}");
    let scratch = Scratch::create();
    let server = start_server();
    let world = Arc::new(World::create(&server, options, None).await);
    let launcher = launcher(&scratch.0);
    let url = server.tcp_url("postgres");
    let daemons: Vec<_> = (0..world.options.daemons)
        .map(|_| launcher.start(&url))
        .collect();
    let purges = purge_on_and_on(Arc::clone(&world), launcher.clone(), url);
    let looks = tokio::spawn(look_on_and_on(Arc::clone(&world)));
    let waits = tokio::spawn(waits::watch(Arc::clone(&world)));
    let savers = start_savers(&world).await;
    run::live(&world).await;
    for task in savers.into_iter().chain([purges, looks]) {
        task.await.expect("a client");
    }
    let waits = waits.await.expect("the waits");
    look(&world, &world.connect().await).await;
    let mut complaints = run::deadlocks(&server.log());
    complaints.extend(failures(&world.ledger.books()));
    let verdict = run::judge(&world, &complaints).await;
    drop(daemons);
    let table = Table::of(&world.ledger.books(), world.options.run_for, waits);
    println!("{verdict}\n{table}");
    if !verdict.is_clean() && world.options.sabotage.is_empty() {
        println!("{}", launcher.last_words());
    }
    verdict
}

fn start_server() -> Server {
    let conf = ["fsync = off", "max_connections = 200"].map(str::to_owned);
    Server::start(&ServerOptions {
        tcp: true,
        conf: conf.to_vec(),
        ..ServerOptions::default()
    })
    .expect("a server for the run")
}

/// Daemons that purge every second, in small batches and without a rest.
fn launcher(directory: &Path) -> Launcher {
    Launcher::new(directory, 0, "")
        .with("SESSION_REAPER_PURGE_SCHEDULE", "* * * * * *")
        .with("SESSION_REAPER_PURGE_BATCH_ROWS", "20")
        .with("SESSION_REAPER_PURGE_PAUSE_RATIO", "0")
}

/// A schedule has no time between two seconds; the command has.
fn purge_on_and_on(world: Arc<World>, launcher: Launcher, url: String) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        while !world.is_stopping() {
            // Another daemon may be at it, which is no failure.
            let _ = launcher.run("purge", &url);
        }
    })
}

async fn start_savers(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let mut savers = Vec::new();
    for number in 0..SAVERS {
        let saver = Saver::new(Arc::clone(world), number, SAVERS).await;
        savers.push(tokio::spawn(saver.run()));
    }
    savers
}

async fn look_on_and_on(world: Arc<World>) {
    let client = world.connect().await;
    while !world.is_stopping() {
        look(&world, &client).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Holds what every session contains against what was saved.
async fn look(world: &World, client: &Client) {
    let asked = world.ledger.now();
    let sessions = "select session_key::text, session_data, expire_date from django_session";
    let rows = client.query(sessions, &[]).await.unwrap();
    let mut books = world.ledger.books();
    for row in rows {
        let expires = world.ledger.micros(row.get(2));
        let (key, data): (&str, &str) = (row.get(0), row.get(1));
        books.saves.hold_against(key, data, expires, asked);
    }
}

/// Saves that failed, and clients that were a deadlock's victims.
fn failures(books: &Books) -> Vec<String> {
    let is_failure = |what: &str| what.starts_with("save failed") || what.ends_with("40P01");
    books
        .counts
        .iter()
        .filter(|(what, _)| is_failure(what))
        .map(|(what, count)| format!("{what}, {count} times"))
        .collect()
}

#[tokio::test]
async fn no_save_is_lost_to_a_revocation_or_a_purge() {
    assert!(run(options(1, 5, "")).await.is_clean());
}

/// As long as `SAVES_SECONDS` says, from the seed `SAVES_SEED`.
#[tokio::test]
#[ignore = "runs as long as SAVES_SECONDS says; see `make saves`"]
async fn saves_for_long() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("SAVES_SECONDS").expect("SAVES_SECONDS");
    let seed = number("SAVES_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    assert!(run(options(seed, seconds, "")).await.is_clean());
}

#[tokio::test]
async fn a_purge_that_does_not_look_again_under_the_lock_is_found_out() {
    let blind = rewrite("purge_together", "for update of s skip locked", "");
    // Long enough for a save to come in between.
    let slow = rewrite(
        "purge_together",
        "free := session_reaper.with_free_links(free);",
        "perform pg_catalog.pg_sleep(0.02);\n    free := session_reaper.with_free_links(free);",
    );
    // Or it would give up the rows that it has not looked at as soon as it had to wait for one.
    let patient = rewrite("purge_expired", "set local lock_timeout = '10ms';", "");
    let verdict = run(options(2, 5, &format!("{blind} {slow} {patient}"))).await;
    assert!(!verdict.bystanders.is_empty());
}

#[tokio::test]
async fn a_sweep_that_waits_for_rows_while_it_holds_others_is_found_out() {
    let waits = rewrite(
        "take_free",
        "limit share * pg_catalog.cardinality(u.ids)\n            for update of s skip locked",
        "order by random()\n            limit share * pg_catalog.cardinality(u.ids)\n            for update of s",
    );
    // Two have to meet for a deadlock, which is a matter of luck: the more sessions a user has, and the longer it takes from
    // one to the next, the better.
    let slow = rewrite(
        "take_free",
        "select e.revocation_id, s.\"session_key\" as session_key",
        "select e.revocation_id, (select s.\"session_key\" from pg_catalog.pg_sleep(0.005)) as session_key",
    );
    let patient = "alter function session_reaper.take_free set lock_timeout = 0";
    let sabotage = format!("{waits} {slow} {patient}");
    for seed in 3..8 {
        let few_users = Options {
            users: 4,
            ..options(seed, 8, &sabotage)
        };
        let verdict = run(few_users).await;
        // Whoever is the victim: the server takes the one that waited last.
        let is_deadlock = |story: &String| story.contains("deadlock") || story.contains("40P01");
        if verdict.lost.iter().any(is_deadlock) {
            return;
        }
    }
    panic!("no deadlock was found");
}
