//! What was saved into which session, and what a session may therefore hold.

use std::collections::HashMap;

use crate::ledger::Micros;

/// How far the clocks of two processes on one machine are believed to be apart at most.
const MARGIN: Micros = 50_000;

/// What a client wrote into a session.
#[derive(Clone, Debug)]
pub struct Save {
    pub data: String,
    pub expires: Micros,
    /// The statement was sent. It took effect later.
    pub sent: Micros,
    /// Its commit was known; nothing, while it is under way.
    pub known: Option<Micros>,
}

/// All saves that committed or are under way.
#[derive(Default)]
pub struct Register {
    saves: HashMap<String, Vec<Save>>,
    /// Committed by the clients whose saves are what the run is about.
    pub committed: u64,
    /// Those that let a session live longer than the last one that was known.
    pub prolonged: u64,
    /// Those of them that came when it had expired already.
    pub revived: u64,
    /// How long the statements of saves took, in microseconds.
    pub took: Vec<Micros>,
    /// How often what a session held was held against what was saved.
    pub compared: u64,
    /// What sessions were seen to hold that had to hold something else.
    pub wrong: Vec<String>,
}

impl Register {
    pub fn add(&mut self, key: &str, save: Save) {
        self.saves.entry(key.to_owned()).or_default().push(save);
    }

    /// It has committed.
    pub fn commit(&mut self, key: &str, data: &str, known: Micros) {
        let saves = self.saves.entry(key.to_owned()).or_default();
        let Some(place) = saves.iter().position(|save| save.data == data) else {
            return;
        };
        let before = saves.iter().rfind(|save| save.known.is_some());
        self.committed += 1;
        if let Some(before) = before.filter(|before| before.expires < saves[place].expires) {
            self.prolonged += 1;
            self.revived += u64::from(before.expires < saves[place].sent);
        }
        saves[place].known = Some(known);
    }

    /// It did not happen.
    pub fn take_back(&mut self, key: &str, data: &str) {
        if let Some(saves) = self.saves.get_mut(key) {
            saves.retain(|save| save.data != data);
        }
    }

    /// Whatever the session can have held at `asked` or later: not what another save, known by then, was sent after.
    fn latest(&self, key: &str, asked: Micros) -> impl Iterator<Item = &Save> {
        let saves = self.saves.get(key).map_or(&[][..], Vec::as_slice);
        let known = |save: &&Save| save.known.is_some_and(|known| known < asked);
        let followed = saves.iter().filter(known).map(|save| save.sent).max();
        saves.iter().filter(move |save| {
            save.known
                .zip(followed)
                .is_none_or(|(known, followed)| known >= followed)
        })
    }

    /// Whether a session that was found gone at `seen` may have expired.
    pub fn has_expired(&self, key: &str, seen: Micros) -> bool {
        self.expires(key)
            .is_some_and(|expires| expires <= seen + MARGIN)
    }

    /// The earliest time that a session which is gone can have expired at. Every save of it came before its end: one
    /// that comes later finds nothing to save.
    pub fn expires(&self, key: &str) -> Option<Micros> {
        self.latest(key, Micros::MAX).map(|save| save.expires).min()
    }

    /// Notes it if a session holds, at `asked` or later, what was not saved or was saved over.
    pub fn hold_against(&mut self, key: &str, data: &str, expires: Micros, asked: Micros) {
        self.compared += 1;
        let holds = |save: &Save| save.data == data && save.expires == expires;
        if !self.saves.contains_key(key) || self.latest(key, asked).any(holds) {
            return;
        }
        let expected: Vec<&Save> = self.latest(key, asked).collect();
        let story = format!("{key} held {data:?} until {expires} at {asked}, not {expected:?}");
        self.wrong.push(story);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(data: &str, sent: Micros, known: Option<Micros>, expires: Micros) -> Save {
        Save {
            data: data.to_owned(),
            expires,
            sent,
            known,
        }
    }

    fn register() -> Register {
        let mut register = Register::default();
        register.add("key", save("first", 0, Some(10), 1_000_000));
        register.add("key", save("second", 20, Some(40), 9_000_000));
        register.add("key", save("beside it", 30, Some(50), 9_000_000));
        register
    }

    fn is_wrong(data: &str, asked: Micros) -> bool {
        let mut register = register();
        let expires = if data == "first" {
            1_000_000
        } else {
            9_000_000
        };
        register.hold_against("key", data, expires, asked);
        !register.wrong.is_empty()
    }

    #[test]
    fn a_save_that_was_saved_over_may_not_be_seen_any_more() {
        assert!(is_wrong("first", 60));
        assert!(!is_wrong("first", 40));
        assert!(!is_wrong("second", 60));
        assert!(!is_wrong("beside it", 60));
    }

    #[test]
    fn what_was_taken_back_may_not_be_seen() {
        let mut register = register();
        register.take_back("key", "beside it");
        register.hold_against("key", "beside it", 9_000_000, 60);
        assert_eq!(register.wrong.len(), 1);
    }

    #[test]
    fn a_session_expires_by_its_latest_save_alone() {
        assert!(!register().has_expired("key", 2_000_000));
        assert!(register().has_expired("key", 9_000_000));
    }
}
