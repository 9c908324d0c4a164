//! The current state, in lines for people: on a terminal and on the daemon's page.

use chrono::{DateTime, Utc};

use super::{Status, latency::LastHour, serving::Daemon};
use crate::{schema::Pause, wording::count_of};

/// How much attention a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// None.
    Plain,
    /// It reports that all is well.
    Good,
    /// The operator should know.
    Noteworthy,
    /// The operator should act.
    Bad,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    /// What it is about, in a word or two.
    pub about: &'static str,
    /// What it says.
    pub says: String,
    /// How.
    pub tone: Tone,
}

fn line(about: &'static str, says: impl Into<String>, tone: Tone) -> Line {
    Line {
        about,
        says: says.into(),
        tone,
    }
}

impl Status {
    /// All of it.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.lines_of_state();
        let plain = |(about, says)| line(about, says, Tone::Plain);
        lines.push(plain(("linked", count_of(self.linked_sessions, "session"))));
        lines.extend(self.linking.lines().into_iter().map(plain));
        lines.extend(self.lines_of_revocations());
        lines.extend(self.cache.lines().into_iter().map(plain));
        lines.extend(self.lines_of_last_hour().into_iter().map(plain));
        lines.extend(self.lines_of_canary());
        lines.push(plain(("last purge", self.last_purge_in_words())));
        lines.extend(
            self.next_purge_in_words()
                .map(|next| plain(("next purge", next))),
        );
        lines
    }

    fn lines_of_last_hour(&self) -> Vec<(&'static str, String)> {
        let LastHour { gone, settled } = &self.last_hour;
        let of = format!("last hour, {}", count_of(gone.revocations, "revocation"));
        let gone = gone
            .describe()
            .map(|words| ("gone", format!("{of}: {words}")));
        let settled = settled.describe().map(|words| ("settled", words));
        gone.into_iter().chain(settled).collect()
    }

    fn lines_of_canary(&self) -> Vec<Line> {
        let failure = self.canary.failure();
        let failed = failure.map(|says| line("canary", format!("failed: {says}"), Tone::Bad));
        let succeeded = self.canary.success();
        let succeeded = succeeded.map(|says| line("canary", says, Tone::Plain));
        failed.into_iter().chain(succeeded).collect()
    }

    /// By this machine's clock, which the schedule goes by, too.
    fn next_purge_in_words(&self) -> Option<String> {
        let next = DateTime::<Utc>::from_timestamp(self.next_purge_at_s?, 0)?;
        let ahead = (next - Utc::now()).num_seconds().max(0);
        Some(format!("in {ahead} s, at {}", next.format("%H:%M:%SZ")))
    }

    fn lines_of_state(&self) -> Vec<Line> {
        let version = self.schema_version.unwrap_or_default();
        let mut lines = vec![line("schema", format!("version {version}"), Tone::Plain)];
        if self.served {
            let mut by = self.daemons.iter().map(Daemon::describe);
            let yes = by
                .next()
                .map_or_else(|| "yes".to_owned(), |first| format!("yes, by {first}"));
            lines.push(line("served", yes, Tone::Good));
            lines.extend(by.map(|other| line("", format!("and by {other}"), Tone::Good)));
        } else {
            let no = "no: until `session-reaper run` is started, and its revoking works, a changing transaction ends the linked sessions itself";
            lines.push(line("served", no, Tone::Bad));
        }
        if let Some(Pause { since, by, .. }) = &self.paused {
            let paused = format!(
                "since {since} by {by}: nothing is ended or purged until `session-reaper resume`"
            );
            lines.push(line("paused", paused, Tone::Noteworthy));
        }
        let problems = self
            .problems
            .iter()
            .map(|says| ("problem", says, Tone::Bad));
        let unknown = self
            .unknown
            .iter()
            .map(|says| ("not known", says, Tone::Noteworthy));
        lines.extend(
            problems
                .chain(unknown)
                .map(|(about, says, tone)| line(about, says, tone)),
        );
        lines
    }

    fn lines_of_revocations(&self) -> Vec<Line> {
        let oldest = self
            .oldest_open_s
            .map_or_else(String::new, |age| format!("; the oldest for {age:.0} s"));
        let pending = format!(
            "{} requested, {} being settled{oldest}",
            self.requested, self.revoked
        );
        let mut lines = vec![line("pending", pending, Tone::Plain)];
        if self.failing > 0 {
            let failing = format!(
                "{}; see the daemon's log",
                count_of(self.failing, "revocation")
            );
            lines.push(line("failing", failing, Tone::Bad));
        }
        if self.waited_out > 0 {
            let given_up = format!(
                "{} settled without a transaction that stayed open too long",
                count_of(self.waited_out, "revocation")
            );
            lines.push(line("given up", given_up, Tone::Noteworthy));
        }
        for wait in &self.waits_for {
            let waits = format!(
                "{}, for {:.0} s, {}",
                wait.describe(),
                wait.waited_s,
                count_of(wait.revocations, "revocation")
            );
            lines.push(line("waits for", waits, Tone::Noteworthy));
        }
        lines
    }

    fn last_purge_in_words(&self) -> String {
        self.last_purge.as_ref().map_or_else(
            || "none yet".to_owned(),
            |purge| {
                format!(
                    "{:.0} s ago: {} in {} ms",
                    purge.ago_s,
                    count_of(purge.sessions, "session"),
                    purge.duration_ms
                )
            },
        )
    }
}
