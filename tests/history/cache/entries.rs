//! What the clients know of the cache.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ledger::Micros;

/// A session that was revoked by name, for certain.
#[derive(Clone, Debug)]
pub struct Named {
    /// The server's number of the transaction.
    pub xid: String,
    pub published: Micros,
}

/// Which entries prove something, and what they proved.
#[derive(Default)]
pub struct Entries {
    /// How many clients are filling an entry and have no answer yet.
    under_way: HashMap<String, u32>,
    exempt: HashSet<String>,
    /// Sessions that some look found there.
    pub seen: HashSet<String>,
    pub named: HashMap<String, Named>,
    /// Sessions that had ended for good and were still cached.
    pub survivors: BTreeMap<String, String>,
}

impl Entries {
    /// A client begins to fill it.
    pub fn send(&mut self, key: &str) {
        *self.under_way.entry(key.to_owned()).or_default() += 1;
    }

    /// That was answered, or never will be: then nobody knows when it arrives.
    pub fn arrive(&mut self, key: &str, in_time: bool) {
        if let Some(count) = self.under_way.get_mut(key) {
            *count -= 1;
        }
        if !in_time {
            self.exempt(key);
        }
    }

    /// Proves nothing from now on.
    pub fn exempt(&mut self, key: &str) {
        self.exempt.insert(key.to_owned());
    }

    pub fn exempted(&self) -> usize {
        self.exempt.len()
    }

    /// Whether an entry of this session would prove something.
    pub fn is_judged(&self, key: &str) -> bool {
        self.under_way.get(key).copied().unwrap_or_default() == 0 && !self.exempt.contains(key)
    }
}
