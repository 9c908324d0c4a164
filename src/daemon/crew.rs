//! Who works in a daemon, and who wakes whom.

use tokio::task::JoinSet;

use super::Daemon;
use crate::{
    bell::Bell,
    connection::Pool,
    evictor::Evictor,
    fitness::Fitness,
    inspector::Inspector,
    listener::Listener,
    purger::Purger,
    reader::Reader,
    requester::{self, Requester},
    revoker::Revoker,
    schedule::{ScheduledPurger, ring_on_schedule},
    schema::Site,
    settler::Settler,
    supervisor::Supervisor,
    verifier::Verifier,
    worker::{self, InForce, Worker},
};

/// What all of them are given.
pub(super) struct Crew<'a> {
    pub daemon: &'a Daemon,
    pub pool: &'a Pool,
    pub site: &'a Site,
    pub settings: &'a InForce,
    pub supervisor: &'a Supervisor,
}

/// The bells of those who are woken by others.
#[derive(Clone, Default)]
struct Bells {
    revoke: Bell,
    evict: Bell,
    settle: Bell,
    purge: Bell,
}

impl Crew<'_> {
    /// Starts everybody.
    pub fn start(&self) -> JoinSet<()> {
        let (mut tasks, bells) = (JoinSet::new(), Bells::default());
        let fitness = Fitness::default();
        self.start_listening(&mut tasks, &bells, &fitness);
        self.start_ending(&mut tasks, &bells, fitness);
        self.start_purging(&mut tasks, &bells);
        self.start_checking(&mut tasks);
        tasks
    }

    fn hire(&self, tasks: &mut JoinSet<()>, worker: impl Worker + Send + 'static, bell: Bell) {
        tasks.spawn(worker::run(worker, bell, self.daemon.stop.clone()));
    }

    fn start_listening(&self, tasks: &mut JoinSet<()>, bells: &Bells, fitness: &Fitness) {
        let (requests, requested) = requester::queue();
        let listener = Listener {
            target: self.daemon.target.clone(),
            pool: self.pool.clone(),
            settings: self.settings.clone(),
            revoker: bells.revoke.clone(),
            requests,
            fitness: fitness.clone(),
            supervisor: self.supervisor.clone(),
        };
        let requester = Requester {
            pool: self.pool.clone(),
            revoker: bells.revoke.clone(),
        };
        tasks.spawn(listener.run(self.daemon.stop.clone()));
        tasks.spawn(requester.run(requested, self.daemon.stop.clone()));
    }

    fn start_ending(&self, tasks: &mut JoinSet<()>, bells: &Bells, fitness: Fitness) {
        let (pool, settings) = (|| self.pool.clone(), || self.settings.clone());
        let reader = Reader::new(pool(), settings(), self.site.reading.clone());
        let revoker = Revoker {
            pool: pool(),
            settings: settings(),
            reader: reader.clone(),
            settler: bells.settle.clone(),
            evictor: bells.evict.clone(),
            fitness,
        };
        let evictor = Evictor::new(pool(), settings(), bells.settle.clone());
        let settler = Settler::new(pool(), settings(), reader.clone());
        self.hire(tasks, reader, Bell::default());
        self.hire(tasks, revoker, bells.revoke.clone());
        self.hire(tasks, evictor, bells.evict.clone());
        self.hire(tasks, settler, bells.settle.clone());
    }

    fn start_purging(&self, tasks: &mut JoinSet<()>, bells: &Bells) {
        let purger = ScheduledPurger {
            purger: Purger::new(self.pool.clone(), self.site),
            pool: self.pool.clone(),
            settings: self.settings.clone(),
            stop: self.daemon.stop.clone(),
        };
        self.hire(tasks, purger, bells.purge.clone());
        tasks.spawn(ring_on_schedule(
            self.settings.clone(),
            bells.purge.clone(),
            self.daemon.stop.clone(),
        ));
    }

    fn start_checking(&self, tasks: &mut JoinSet<()>) {
        if let Some(keys) = self.daemon.secret_keys.clone() {
            let verifier = Verifier {
                pool: self.pool.clone(),
                settings: self.settings.clone(),
                keys,
            };
            self.hire(tasks, verifier, Bell::default());
        }
        let inspector = Inspector::new(
            self.pool.clone(),
            self.daemon.settings.site.clone(),
            self.settings.clone(),
            self.supervisor.clone(),
        );
        self.hire(tasks, inspector, Bell::default());
    }
}
