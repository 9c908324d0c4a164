//! Who works in a daemon, and who wakes whom.

use tokio::task::JoinSet;

use super::{Daemon, clock::Clock, inspector::Inspector};
use crate::{
    canary::Canary,
    connection::Database,
    evict::evictor::Evictor,
    link::{linker::Linker, stale_hashes::Verifier},
    policy::enforcer::Enforcer,
    process::{fitness::Fitness, repeated::Repeated, service_manager::Supervisor},
    purge::{purger::Purger, schedule::ring_on_schedule, scheduled::ScheduledPurger},
    revoke::{
        listener::Listener,
        requester::{self, Refused, Requester},
        revoker::Revoker,
        settler::Settler,
    },
    schema::Site,
    worker::{
        self, InForce, Worker,
        bell::Bell,
        size::Size,
        trouble::{SETTINGS, Teller},
    },
};

/// What all of them are given.
pub(super) struct Crew<'a> {
    pub daemon: &'a Daemon,
    pub database: &'a Database,
    pub site: &'a Site,
    pub settings: &'a InForce,
    pub supervisor: &'a Supervisor,
    pub teller: &'a Teller,
    /// Rung when a reload has succeeded or failed.
    pub inspect: &'a Bell,
}

/// The bells of the workers that others wake.
#[derive(Clone, Default)]
struct Bells {
    revoke: Bell,
    evict: Bell,
    settle: Bell,
    purge: Bell,
}

impl Crew<'_> {
    /// Starts all workers.
    pub fn start(&self) -> JoinSet<()> {
        let (mut tasks, bells) = (JoinSet::new(), Bells::default());
        let fitness = Fitness::default();
        self.start_listening(&mut tasks, &bells, &fitness);
        self.start_ending(&mut tasks, &bells, fitness);
        self.start_purging(&mut tasks, &bells);
        self.start_checking(&mut tasks);
        self.hire(
            &mut tasks,
            Enforcer::new(self.database.clone(), self.settings.clone()),
            Bell::default(),
        );
        self.hire(
            &mut tasks,
            Canary::new(self.database.clone(), self.settings.clone()),
            Bell::default(),
        );
        tasks
    }

    fn hire<W: Worker + Send + 'static>(&self, tasks: &mut JoinSet<()>, worker: W, bell: Bell) {
        let trouble = self.teller.of(W::NAME, W::TASK);
        tasks.spawn(worker::run(worker, bell, self.daemon.stop.clone(), trouble));
    }

    fn start_listening(&self, tasks: &mut JoinSet<()>, bells: &Bells, fitness: &Fitness) {
        let (requests, requested) = requester::queue();
        let refused = Refused::default();
        let listener = Listener {
            target: self.daemon.target.clone(),
            database: self.database.clone(),
            settings: self.settings.clone(),
            revoker: bells.revoke.clone(),
            requests,
            fitness: fitness.clone(),
            supervisor: self.supervisor.clone(),
            refused: refused.clone(),
        };
        let requester = Requester {
            database: self.database.clone(),
            revoker: bells.revoke.clone(),
        };
        tasks.spawn(listener.run(self.daemon.stop.clone()));
        tasks.spawn(requester.run(requested, refused, self.daemon.stop.clone()));
    }

    fn start_ending(&self, tasks: &mut JoinSet<()>, bells: &Bells, fitness: Fitness) {
        let (database, settings) = (|| self.database.clone(), || self.settings.clone());
        let linker = Linker::new(database(), settings(), self.site.user_source.clone());
        let revoker = Revoker {
            database: database(),
            settings: settings(),
            linker: linker.clone(),
            settler: bells.settle.clone(),
            evictor: bells.evict.clone(),
            fitness,
            complaints: Repeated::default(),
            size: Size::default(),
            untold: None,
        };
        let evictor = Evictor::new(database(), settings(), bells.settle.clone());
        let settler = Settler::new(database(), settings(), linker.clone());
        self.hire(tasks, linker, Bell::default());
        self.hire(tasks, revoker, bells.revoke.clone());
        self.hire(tasks, evictor, bells.evict.clone());
        self.hire(tasks, settler, bells.settle.clone());
    }

    fn start_purging(&self, tasks: &mut JoinSet<()>, bells: &Bells) {
        let purger = ScheduledPurger {
            purger: Purger::new(self.database.clone(), self.site),
            database: self.database.clone(),
            settings: self.settings.clone(),
            stop: self.daemon.stop.clone(),
            owed: false,
        };
        self.hire(tasks, purger, bells.purge.clone());
        tasks.spawn(ring_on_schedule(
            self.settings.clone(),
            bells.purge.clone(),
            self.daemon.stop.clone(),
        ));
    }

    fn start_checking(&self, tasks: &mut JoinSet<()>) {
        self.hire(tasks, Clock::new(self.database.clone()), Bell::default());
        if let Some(keys) = self.daemon.secret_keys.clone() {
            let verifier = Verifier {
                database: self.database.clone(),
                settings: self.settings.clone(),
                keys,
                size: Size::default(),
            };
            self.hire(tasks, verifier, Bell::default());
        }
        let inspector = Inspector::new(
            self.database.clone(),
            self.daemon.settings.site.clone(),
            self.settings.clone(),
            self.supervisor.clone(),
            self.teller.of(SETTINGS, "reload the settings"),
        );
        self.hire(tasks, inspector, self.inspect.clone());
    }
}
