//! Everything that goes wrong, in an order that the seed decides.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use session_reaper::demo::server::{Server, Shutdown};
use tokio::time::sleep;

use crate::{
    cache::Cache,
    daemon::{Daemon, Launcher},
    proxy::{Proxy, Weather},
    world::World,
};

/// The daemons, the network and the server, and what befalls them.
pub struct Chaos {
    pub(crate) world: Arc<World>,
    pub(crate) server: Option<Server>,
    daemons: Vec<Daemon>,
    launcher: Launcher,
    proxy: Proxy,
    /// Of a site that has one.
    cache: Option<Cache>,
    pub(crate) rng: Rng,
    /// Daemons that ended though nobody killed them.
    pub deserters: Vec<String>,
}

impl Chaos {
    pub async fn new(
        world: Arc<World>,
        server: Server,
        launcher: Launcher,
        cache: Option<Cache>,
    ) -> Self {
        let proxy = Proxy::start(server.port()).await;
        let mut chaos = Self {
            rng: Rng::with_seed(world.options.seed),
            world,
            server: Some(server),
            daemons: Vec::new(),
            launcher,
            proxy,
            cache,
            deserters: Vec::new(),
        };
        chaos.start_daemons();
        chaos
    }

    fn start_daemons(&mut self) {
        let url = format!(
            "postgresql://postgres@127.0.0.1:{}/postgres",
            self.proxy.port
        );
        while self.daemons.len() < self.world.options.daemons {
            self.daemons.push(self.launcher.start(&url));
        }
    }

    /// Strikes until the world stops. Comes back with itself, since the daemons have to live on.
    pub async fn run(mut self) -> Self {
        while !self.world.is_stopping() {
            self.wait(50..1500).await;
            if self.world.options.faults {
                self.strike().await;
            }
            if self.world.options.before > 0 {
                self.maybe_read_again().await;
            }
            self.muster();
        }
        self
    }

    async fn strike(&mut self) {
        if let Some(cache) = &mut self.cache
            && self.rng.u32(0..100) < 40
        {
            return cache.strike(&mut self.rng, &self.world).await;
        }
        match self.rng.u32(0..100) {
            0..30 => self.kill_one().await,
            30..42 => self.kill_all().await,
            42..57 => self.freeze().await,
            57..72 => self.weather("network: connections cut", Weather::Cut),
            72..82 => {
                let length = Duration::from_millis(self.rng.u64(100..3000));
                self.weather("network: connections stalled", Weather::Stall(length));
            }
            82..89 => {
                let length = Duration::from_millis(self.rng.u64(1000..8000));
                self.weather("network: black hole", Weather::Silence(length));
            }
            89..96 => self.crash_server().await,
            _ if self.world.options.failovers => self.fail_over().await,
            _ => {}
        }
    }

    async fn kill_one(&mut self) {
        let victim = self.rng.usize(..self.daemons.len());
        drop(self.daemons.remove(victim));
        self.note("daemon killed");
        self.wait(0..800).await;
        self.start_daemons();
    }

    async fn kill_all(&mut self) {
        for daemon in self.daemons.drain(..) {
            drop(daemon);
            self.world.ledger.books().count("fault: daemon killed");
        }
        self.note("no daemon at all");
        self.wait(0..1500).await;
        self.start_daemons();
    }

    async fn freeze(&mut self) {
        let victim = self.rng.usize(..self.daemons.len());
        self.daemons[victim].signal("STOP");
        self.note("daemon frozen");
        self.wait(50..4500).await;
        self.daemons[victim].signal("CONT");
    }

    fn weather(&mut self, what: &str, weather: Weather) {
        self.note(what);
        self.proxy.strike(weather);
    }

    /// What a crash does. Nothing that was committed is lost: the clients commit synchronously.
    async fn crash_server(&mut self) {
        self.note("server crashed");
        // Put back two lines below.
        let mut server = self.server.take().expect("a server");
        let restart = move || {
            server.stop(Shutdown::Immediate).expect("a crash");
            server.start_again().expect("a recovery");
            server
        };
        let restarted = tokio::task::spawn_blocking(restart).await;
        self.server = Some(restarted.expect("a server that came back"));
    }

    /// A daemon may end only when it is told to.
    fn muster(&mut self) {
        for daemon in &mut self.daemons {
            if daemon.has_ended() {
                self.deserters.push("a daemon ended by itself".to_owned());
            }
        }
        self.daemons.retain_mut(|daemon| !daemon.has_ended());
        self.start_daemons();
    }

    /// What the server says about itself.
    pub fn server_log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }

    pub(crate) fn note(&self, what: &str) {
        self.world.ledger.books().count(&format!("fault: {what}"));
    }

    pub(crate) async fn wait(&mut self, ms: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.u64(ms))).await;
    }
}
