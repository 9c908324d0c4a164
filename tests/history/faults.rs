//! Everything that goes wrong, in an order that the seed decides.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use session_reaper::demo::server::{Server, Shutdown};
use tokio::time::sleep;

use crate::{
    cache::Cache,
    daemon::{Daemon, Launcher},
    faked_clock::FakedClock,
    options::Trouble,
    proxy::{Proxy, Weather},
    world::World,
};

/// The daemons, the network and the server, and what befalls them.
pub struct Chaos {
    pub(crate) world: Arc<World>,
    pub(crate) server: Option<Server>,
    daemons: Vec<Daemon>,
    pub(crate) launcher: Launcher,
    pub(crate) proxy: Proxy,
    /// Of a site that has one.
    cache: Option<Cache>,
    /// The server's, where it can be set.
    clock: Option<FakedClock>,
    pub(crate) rng: Rng,
    /// Daemons that ended though nobody killed them, and commands that failed.
    pub complaints: Vec<String>,
}

impl Chaos {
    pub async fn new(
        world: Arc<World>,
        server: Server,
        launcher: Launcher,
        cache: Option<Cache>,
        clock: Option<FakedClock>,
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
            clock,
            complaints: Vec::new(),
        };
        chaos.start_daemons();
        chaos
    }

    pub(crate) fn start_daemons(&mut self) {
        let url = format!(
            "postgresql://{}@127.0.0.1:{}/{}",
            self.world.logins.daemon(),
            self.proxy.port,
            self.world.options.database()
        );
        while self.daemons.len() < self.world.options.daemons {
            self.daemons.push(self.launcher.start(&url));
        }
    }

    /// Strikes until the world stops. Comes back with itself, since the daemons have to live on.
    pub async fn run(mut self) -> Self {
        while !self.world.is_stopping() {
            self.wait(50..1500).await;
            self.strike().await;
            if self.world.options.before > 0 {
                self.maybe_backfill_again().await;
            }
            self.muster();
        }
        self
    }

    async fn strike(&mut self) {
        if self.world.options.faults
            && let Some(cache) = &mut self.cache
            && self.rng.u32(0..100) < 40
        {
            return cache.strike(&mut self.rng, &self.world).await;
        }
        if !self.world.options.faults || self.rng.u32(0..100) < 40 {
            return self.trouble().await;
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

    /// One of those that befall the site itself.
    async fn trouble(&mut self) {
        match self.rng.choice(&self.world.options.troubles) {
            Some(Trouble::Rights) => self.take_rights().await,
            Some(Trouble::Poison) => self.hold_rows().await,
            Some(Trouble::Pauses) => self.pause().await,
            Some(Trouble::Clock) => self.set_clock_back().await,
            // There is one standby at a time.
            Some(Trouble::Loss) if self.world.options.has(Trouble::Standby) => {}
            Some(Trouble::Loss) => self.lose_commits().await,
            Some(Trouble::Restore) => self.restore().await,
            Some(Trouble::Cutover) => self.cut_over().await,
            // These are the clients' own doing.
            Some(Trouble::Histories | Trouble::Reuse | Trouble::Standby) | None => {}
        }
    }

    /// By seconds, which a login may outlive, or by much more.
    async fn set_clock_back(&mut self) {
        let back_s = *[2, 5, 60, 3600].get(self.rng.usize(..4)).unwrap_or(&2);
        let Some(clock) = &self.clock else {
            return;
        };
        clock.set(-back_s);
        self.note("clock set back");
        self.wait(500..4000).await;
        if let Some(clock) = &self.clock {
            clock.set(0);
        }
    }

    async fn kill_one(&mut self) {
        let victim = self.rng.usize(..self.daemons.len());
        drop(self.daemons.remove(victim));
        self.note("daemon killed");
        self.wait(0..800).await;
        self.start_daemons();
    }

    /// Kills all daemons.
    pub(crate) fn leave_alone(&mut self) {
        for daemon in self.daemons.drain(..) {
            drop(daemon);
            self.world.ledger.books().count("fault: daemon killed");
        }
        self.note("no daemon at all");
    }

    /// Those that are younger than this could not start, and may say so within that time.
    pub(crate) fn excuse_starters(&mut self, age: Duration, time: Duration) {
        for daemon in &mut self.daemons {
            if daemon.age() < age {
                daemon.excuse_for(time);
            }
        }
        self.start_daemons();
    }

    async fn kill_all(&mut self) {
        self.leave_alone();
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
        let complaints = self.daemons.iter_mut().filter_map(Daemon::complaint);
        self.complaints.extend(complaints);
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
