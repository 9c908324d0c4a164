//! One event as a line for people: what happened, why, and the figures.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};

/// The fields that give the reason; they follow the message.
const REASONS: [&str; 4] = ["error", "reason", "fault", "bug"];

/// What an event contains.
#[derive(Debug, Default)]
pub(super) struct Line {
    message: String,
    reason: String,
    figures: String,
    /// Each field by itself, for readers that filter by them.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    /// Reads an event.
    pub fn of(event: &tracing::Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }

    /// The whole of it: a journal is read without its fields.
    pub fn text(&self) -> String {
        let Self {
            message,
            reason,
            figures,
            ..
        } = self;
        if figures.is_empty() {
            format!("{message}{reason}")
        } else {
            format!("{message}{reason} ({figures})")
        }
    }

    fn take(&mut self, field: &Field, value: String) {
        let name = field.name();
        if name == "message" {
            self.message = value;
            return;
        }
        if REASONS.contains(&name) {
            // Writing into a string cannot fail.
            let _ = write!(self.reason, ": {value}");
        } else {
            let separator = if self.figures.is_empty() { "" } else { ", " };
            let _ = write!(self.figures, "{separator}{name} {value}");
        }
        self.fields.push((name, value));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, format!("{value:?}"));
    }
}
