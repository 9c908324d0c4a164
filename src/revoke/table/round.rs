//! How far a round of the open revocations has come.

use tokio_postgres::Row;

/// Goes round the open revocations, a window at a time, single changes first: what many wait for holds up no others.
#[derive(Debug, Default)]
pub struct Round {
    pub(super) place: i32,
    pub(super) id: i64,
}

impl Round {
    /// Notes where the window ends, and returns what is in it. A window that is not full was the last of the round.
    pub(super) fn note(&mut self, rows: &[Row], most: u32) -> Vec<i64> {
        *self = match rows.last() {
            Some(last) if rows.len() >= most as usize => Self {
                place: last.get(0),
                id: last.get(1),
            },
            _ => Self::default(),
        };
        rows.iter().map(|row| row.get(1)).collect()
    }

    /// Whether there may be more to look at in this round.
    pub fn is_under_way(&self) -> bool {
        self.id > 0
    }
}
