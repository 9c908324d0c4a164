use std::sync::{Arc, Mutex};

use tracing_subscriber::{Layer, layer::Context, prelude::*};

use super::line::Line;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(Line::of(event).text());
    }
}

#[test]
fn the_message_says_why_and_how_often() {
    let kept = Kept::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(kept.clone()), || {
        let error = "permission denied for table django_session";
        tracing::error!(revocation = ?[7, 9], times = 3, %error, "could not revoke; trying again");
        tracing::info!("listening");
        tracing::warn!(%error, "not reloaded");
    });
    assert_eq!(
        *kept.0.lock().unwrap(),
        [
            "could not revoke; trying again: permission denied for table django_session (revocation [7, 9], times 3)",
            "listening",
            "not reloaded: permission denied for table django_session",
        ]
    );
}
