//! One run: a server, a site, daemons, clients, faults; then rest, and the verdict.

use std::{path::PathBuf, sync::Arc, time::Duration};

use session_reaper::demo::server::{Options as ServerOptions, Server};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    cache::{self, Cache},
    client::Visitor,
    daemon::Launcher,
    faked_clock::FakedClock,
    faults::Chaos,
    monitor,
    options::{Options, Trouble},
    stand_in,
    standby::Standby,
    verdict::Verdict,
    world::World,
};

/// A directory of the run's own, gone with it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn create() -> Self {
        let path =
            std::env::temp_dir().join(format!("session-reaper-history-{:x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left over is temporary anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As the run wants it.
pub fn start_server(options: &Options, clock: Option<&FakedClock>) -> Server {
    let prepared = if options.two_phase { 50 } else { 0 };
    let level = match options.has(Trouble::Cutover) {
        true => "logical",
        false => "replica",
    };
    let conf = [
        "fsync = off".to_owned(),
        "max_connections = 200".to_owned(),
        format!("max_prepared_transactions = {prepared}"),
        format!("wal_level = {level}"),
    ];
    Server::start(&ServerOptions {
        tcp: true,
        conf: conf.to_vec(),
        variables: clock.map(FakedClock::variables).unwrap_or_default(),
    })
    .expect("a server for the run")
}

/// Runs it and prints what came of it.
pub async fn run(options: Options) -> Verdict {
    println!("{options:?}");
    let scratch = Scratch::create();
    let clock = match options.has(Trouble::Clock) {
        true => FakedClock::find(),
        false => None,
    };
    let server = start_server(&options, clock.as_ref());
    let cache = match options.cached {
        true => Some(Cache::start().await),
        false => None,
    };
    let address = cache.as_ref().map(Cache::address);
    let world = World::create(&server, options.clone(), address).await;
    let world = Arc::new(world);
    let standby = options.has(Trouble::Standby);
    let _standby = standby.then(|| Standby::of(&server));
    let more = cache.as_ref().map(Cache::settings).unwrap_or_default();
    let mut launcher = Launcher::new(&scratch.0, options.grace_s, &more);
    if options.has(Trouble::Rights) {
        launcher = launcher
            .with("SESSION_REAPER_SITE_DAEMON_ROLE", "reaper")
            .with("SESSION_REAPER_SITE_APP_ROLES", "app");
    }
    let chaos = Chaos::new(Arc::clone(&world), server, launcher.clone(), cache, clock).await;
    let chaos = tokio::spawn(chaos.run());
    let stand_in = options
        .stand_in
        .map(|kind| tokio::spawn(stand_in::serve(Arc::clone(&world), kind)));
    live(&world).await;
    let chaos = chaos.await.expect("the faults");
    let complaints = [chaos.complaints.clone(), deadlocks(&chaos.server_log())].concat();
    let verdict = judge(&world, &complaints).await;
    println!("{verdict}");
    if let Some(stand_in) = stand_in {
        stand_in.abort();
    }
    if !verdict.is_clean() && world.options.sabotage.is_empty() {
        println!("{}", launcher.last_words());
    }
    verdict
}

/// Waits for whatever goes on settling, but for nothing in vain.
pub async fn judge(world: &World, complaints: &[String]) -> Verdict {
    let verdict = Verdict::reach(world, complaints);
    let longest = Duration::from_secs(900);
    timeout(longest, verdict).await.expect("a verdict")
}

/// The clients and the monitor, for as long as the run lasts.
pub async fn live(world: &Arc<World>) {
    let options = &world.options;
    world.wait_until_read().await;
    let monitor = tokio::spawn(monitor::run(Arc::clone(world)));
    let watch = tokio::spawn(cache::watch(Arc::clone(world)));
    let mut clients = Vec::new();
    for number in 0..options.clients {
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(number);
        let client = Visitor::new(Arc::clone(world), seed).await;
        clients.push(tokio::spawn(client.run()));
    }
    let deadline = Instant::now() + options.run_for;
    while Instant::now() < deadline && !is_found_out(world) {
        sleep(Duration::from_millis(100)).await;
    }
    world.stop();
    for client in clients {
        client.await.expect("a client");
    }
    monitor.await.expect("the monitor");
    watch.await.expect("the watch of the cache");
}

/// What is broken on purpose need not run any longer than it takes to see it.
fn is_found_out(world: &World) -> bool {
    let books = world.ledger.books();
    let is_found = !books.survivors.is_empty()
        || !books.cache.survivors.is_empty()
        || !books.failed.is_empty();
    !world.options.sabotage.is_empty() && is_found
}

/// Deadlocks that a daemon had a part in: the app must never be the victim of one. The server's log quotes all
/// statements, and a daemon's begin with the room and the name of the function that sends them.
pub fn deadlocks(log: &str) -> Vec<String> {
    let reports = log.split("deadlock detected").skip(1);
    let quotes = reports.map(|report| report.split("HINT:").next().unwrap_or_default());
    let of_daemons = quotes.filter(|quotes| {
        ["-- revoke::", "-- purge::", "-- evict::"]
            .iter()
            .any(|tag| quotes.contains(tag))
    });
    of_daemons
        .map(|quotes| format!("deadlock: {quotes}"))
        .collect()
}
