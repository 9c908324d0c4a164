use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    connection::Target,
    settings,
    worker::{
        failures::Failures,
        trouble::{SETTINGS, Teller},
    },
};

/// Records what is logged.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Notes {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Notes {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Notes {
    fn lines(&self, level: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(level)).count()
    }
}

#[tokio::test]
async fn a_fault_is_told_when_it_begins_changes_and_lasts_and_its_end_is_told_once() {
    let environment =
        settings::Environment::from([("DATABASE_URL", "postgresql://nobody@127.0.0.1/nowhere")]);
    let target = Target::resolve(&settings::Database::default(), &environment).unwrap();
    let (_sender, in_force) = InForce::new(settings::Settings::default());
    let site = settings::Site::default();
    let supervisor = Supervisor::default();
    let reload =
        Teller::new(supervisor.clone(), Failures::default()).of(SETTINGS, "reload the settings");
    let database = target.database().unwrap();
    let mut inspector = Inspector::new(database, site, in_force, supervisor, reload);
    let notes = Notes::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(notes.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let (one, other) = (|| vec!["one".to_owned()], || vec!["other".to_owned()]);
    let begun = Instant::now();
    let after = |seconds| begun + Duration::from_secs(seconds);
    for (faults, now, errors, mended) in [
        (vec![], begun, 0, 0),
        (one(), begun, 1, 0),
        (one(), after(599), 1, 0),
        (one(), after(600), 2, 0),
        (one(), after(1199), 2, 0),
        (other(), after(1199), 3, 0),
        (vec![], after(1200), 3, 1),
        (vec![], after(9000), 3, 1),
        (other(), after(9001), 4, 1),
    ] {
        inspector.tell_faults(faults, now);
        assert_eq!(
            (notes.lines("ERROR"), notes.lines("INFO")),
            (errors, mended)
        );
    }
}
