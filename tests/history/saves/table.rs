//! What the run prints.

use std::{fmt, time::Duration};

use crate::{
    ledger::{Books, Micros},
    verdict,
};

/// The figures of a run.
pub(super) struct Table {
    ran_for: Duration,
    saves: u64,
    prolonged: u64,
    revived: u64,
    revocations: usize,
    revoked: usize,
    purged: usize,
    compared: u64,
    deadlocks: u64,
    lost: usize,
    took: Vec<Micros>,
    waits: Vec<f64>,
}

impl Table {
    pub(super) fn of(books: &Books, ran_for: Duration, waits: Vec<f64>) -> Self {
        let changes = books.changes.values().map(Vec::len).sum::<usize>();
        let may_be_revoked = |login: usize, seen: Micros| {
            let login = &books.logins[login];
            books.removed.contains(&login.key) || verdict::is_justified(books, login, seen)
        };
        let (revoked, others): (Vec<_>, Vec<_>) = books
            .gone
            .iter()
            .partition(|(login, seen)| may_be_revoked(*login, *seen));
        let wrongly = others
            .iter()
            .filter(|(login, seen)| !books.saves.has_expired(&books.logins[*login].key, *seen))
            .count();
        let mut took = books.saves.took.clone();
        took.sort_unstable();
        Self {
            ran_for,
            saves: books.saves.committed,
            prolonged: books.saves.prolonged,
            revived: books.saves.revived,
            revocations: changes + books.revoked_by_name.len(),
            revoked: revoked.len(),
            purged: others.len() - wrongly,
            compared: books.saves.compared,
            deadlocks: deadlocks(books),
            lost: wrongly + books.saves.wrong.len(),
            took,
            waits,
        }
    }

    fn quantile_ms(&self, share: f64) -> f64 {
        let place = (self.took.len() as f64 * share) as usize;
        let took = self.took.get(place).or(self.took.last());
        took.map_or(0.0, |took| *took as f64 / 1000.0)
    }
}

/// Those that clients were the victims of.
fn deadlocks(books: &Books) -> u64 {
    let of_deadlocks = |what: &String| what.ends_with("40P01");
    let counts = books.counts.iter().filter(|(what, _)| of_deadlocks(what));
    counts.map(|(_, count)| count).sum()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.waits.iter().copied().fold(0.0, f64::max);
        let rows = [
            ("seconds", self.ran_for.as_secs().to_string()),
            ("saves", self.saves.to_string()),
            ("prolongations", self.prolonged.to_string()),
            ("prolongations after the expiry", self.revived.to_string()),
            ("revocations", self.revocations.to_string()),
            ("sessions ended that were revoked", self.revoked.to_string()),
            ("sessions purged", self.purged.to_string()),
            ("looks at what a session holds", self.compared.to_string()),
            ("deadlocks", self.deadlocks.to_string()),
            ("lost saves", self.lost.to_string()),
            (
                "a save's statement, ms, p50 / p99 / max",
                format!(
                    "{:.1} / {:.1} / {:.1}",
                    self.quantile_ms(0.5),
                    self.quantile_ms(0.99),
                    self.quantile_ms(1.0)
                ),
            ),
            (
                "waits for a daemon's lock that were seen",
                self.waits.len().to_string(),
            ),
            ("the longest of them, ms", format!("{longest:.1}")),
        ];
        for (what, figure) in rows {
            writeln!(f, "  {what:<44}{figure:>20}")?;
        }
        Ok(())
    }
}
