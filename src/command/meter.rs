//! Shows how far a long command is: a bar on a terminal, and elsewhere a line now and then, so that a log of it tells
//! work from a standstill.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::{settings::Environment, wording};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Counts sessions that have ended.
pub struct Meter {
    bar: ProgressBar,
    total: Option<u64>,
    line_at: Instant,
}

impl Meter {
    /// Towards a total, where one is known.
    pub fn new(total: Option<u64>) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total)
                .with_style(style("{bar:40} {pos}/{len} sessions, {per_sec}, {msg}")),
            None => ProgressBar::new_spinner()
                .with_style(in_characters(ProgressStyle::default_spinner())),
        };
        bar.set_message("ending sessions");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            total,
            line_at: Instant::now() + LINE_EVERY,
        }
    }

    /// This many have ended; `settling` when the first sweep is through.
    pub fn show(&mut self, ended: u64, settling: bool) {
        self.bar.set_position(ended);
        let doing = if settling {
            "settling"
        } else {
            "ending sessions"
        };
        let count = match self.total {
            Some(_) => String::new(),
            None => format!("{ended} sessions ended, "),
        };
        self.bar.set_message(format!("{count}{doing}"));
        if self.bar.is_hidden() && Instant::now() >= self.line_at {
            self.line_at = Instant::now() + LINE_EVERY;
            let of = self
                .total
                .map_or_else(String::new, |of| format!(" of {of}"));
            eprintln!("{ended}{of} sessions ended, {doing}");
        }
    }

    /// Makes room for the result.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// How a bar looks, in characters that the terminal has. The template is a constant, and every test of a command that has
/// a bar tries it.
pub fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    in_characters(style)
}

fn in_characters(style: ProgressStyle) -> ProgressStyle {
    if wording::is_utf8(&Environment::of_process()) {
        return style;
    }
    style.progress_chars("#-").tick_chars("-\\|/ ")
}
