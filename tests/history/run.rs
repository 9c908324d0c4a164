//! One run: a server, a site, daemons, clients, faults; then rest, and the verdict.

use std::{path::PathBuf, sync::Arc, time::Duration};

use session_reaper::demo::server::{Options as ServerOptions, Server};

use crate::{
    client::Visitor,
    daemon::Launcher,
    monitor,
    verdict::Verdict,
    world::{Options, World},
};

/// A directory of the run's own, gone with it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    fn create() -> Self {
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

fn start_server(options: &Options) -> Server {
    let prepared = if options.two_phase { 50 } else { 0 };
    let conf = [
        "fsync = off".to_owned(),
        "max_connections = 200".to_owned(),
        format!("max_prepared_transactions = {prepared}"),
    ];
    Server::start(&ServerOptions {
        tcp: true,
        conf: conf.to_vec(),
    })
    .expect("a server for the run")
}

/// Runs it and prints what came of it.
pub async fn run(options: Options) -> Verdict {
    println!("{options:?}");
    let scratch = Scratch::create();
    let server = start_server(&options);
    let world = Arc::new(World::create(server.url("postgres"), options.clone()).await);
    let launcher = Launcher::new(&scratch.0, options.grace_s);
    let daemons: Vec<_> = (0..options.daemons)
        .map(|_| launcher.start(&server.tcp_url("postgres")))
        .collect();
    let monitor = tokio::spawn(monitor::run(Arc::clone(&world)));
    let mut clients = Vec::new();
    for number in 0..options.clients {
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(number);
        clients.push(tokio::spawn(
            Visitor::new(Arc::clone(&world), seed).await.run(),
        ));
    }
    tokio::time::sleep(options.run_for).await;
    world.stop();
    for client in clients {
        client.await.expect("a client");
    }
    monitor.await.expect("the monitor");
    let verdict = tokio::time::timeout(Duration::from_secs(120), Verdict::reach(&world))
        .await
        .expect("a verdict");
    println!("{verdict}");
    drop(daemons);
    verdict
}
