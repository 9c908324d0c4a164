//! The site's own migrations: paused and resumed by the commands, while everybody goes on.

use tokio::task::spawn_blocking;

use crate::{backfills, faults::Chaos};

/// How often an operator tries again before calling for help.
const ATTEMPTS: u32 = 5;

impl Chaos {
    /// Pauses for a while. What is written meanwhile nobody notes: all sessions are read again afterwards.
    pub async fn pause(&mut self) {
        self.world.ledger.books().backfills.ask();
        self.operate("pause").await;
        self.note("site paused");
        self.wait(200..2500).await;
        let client = self.world.connect().await;
        let number = self.world.next_number();
        let marker = format!("insert into history_marker (id) values ({number})");
        let owners = backfills::owners(&client, &marker)
            .await
            .expect("the links");
        self.operate("resume").await;
        self.backfill_begins(&owners);
    }

    /// Runs a command. On a site that never rests it may say that it could not get a lock, and be tried again.
    pub(crate) async fn operate(&mut self, verb: &'static str) {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let (launcher, url) = (self.launcher.clone(), self.world.logins.owner());
            let run = spawn_blocking(move || launcher.run(verb, &url));
            match run.await.expect("a command") {
                Ok(()) => return,
                Err(last) => said = last,
            }
            self.note(&format!("session-reaper {verb} had to be tried again"));
        }
        self.complaints.push(format!(
            "session-reaper {verb} failed {ATTEMPTS} times: {said}"
        ));
    }
}
