//! One step on the way to the user.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Found, Reason};

/// A step of the way: a key of a map, or a place in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'p> {
    key: Key<'p>,
    pub(super) index: Option<usize>,
    /// The same counted from the end of the list, as in PostgreSQL: 1 is the last one.
    pub(super) from_end: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Key<'p> {
    Name(&'p str),
    Prefix(&'p str),
    Guard(&'p str),
}

impl<'p> Step<'p> {
    /// The key of a map, or if it is a number also a place in a list.
    pub(super) fn new(key: &'p str) -> Self {
        let from_end = key.strip_prefix('-').and_then(|back| back.parse().ok());
        Self {
            key: Key::Name(key),
            index: key.parse().ok(),
            from_end: from_end.filter(|back| *back > 0),
        }
    }

    /// Every key that begins so. Several may be there, for as many parts of a site that users log in to.
    pub(super) fn prefix(key: &'p str) -> Self {
        Self {
            key: Key::Prefix(key),
            index: None,
            from_end: None,
        }
    }

    /// The same with a SHA-1 at the end, which tells Laravel's own keys from an app's `login_attempts`.
    pub(super) fn guard(key: &'p str) -> Self {
        Self {
            key: Key::Guard(key),
            index: None,
            from_end: None,
        }
    }

    /// A field of a struct, which some serializers write by name and some by place.
    pub(super) fn field(key: &'p str, index: usize) -> Self {
        Self {
            key: Key::Name(key),
            index: Some(index),
            from_end: None,
        }
    }

    pub(super) fn path(keys: &'p [String]) -> Vec<Self> {
        keys.iter().map(|key| Self::new(key)).collect()
    }

    /// What is found if the step was taken once, and then once more.
    pub(super) fn join(self, before: Found, found: Found) -> Found {
        match (self.key, before, found) {
            (Key::Name(_), _, found)
            | (_, Found::Anonymous, found)
            | (_, found, Found::Anonymous) => found,
            (_, before, found) if before == found => found,
            // Each part of the site may have users of its own, so to choose one is to end the wrong one's session.
            _ => Found::Unreadable(Reason::Ambiguous),
        }
    }

    fn is(self, key: &[u8]) -> bool {
        match self.key {
            Key::Name(name) => key == name.as_bytes(),
            Key::Prefix(prefix) => key.starts_with(prefix.as_bytes()),
            Key::Guard(prefix) => {
                let hash = key
                    .strip_prefix(prefix.as_bytes())
                    .and_then(|rest| rest.last_chunk::<40>());
                hash.is_some_and(|hash| hash.iter().all(u8::is_ascii_hexdigit))
            }
        }
    }
}

/// Compares a key with the step, without keeping it. As bytes, because Python writes keys that are not Unicode, and
/// they must not hide those that are.
pub(super) struct Matches<'p>(pub(super) Step<'p>);

impl<'de> DeserializeSeed<'de> for Matches<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

// Whatever a language takes as a key passes; what is neither text nor an integer is not the one that is looked for.
impl<'de> Visitor<'de> for Matches<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(self.0.is(key.as_bytes()))
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<bool, E> {
        Ok(self.0.is(key))
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<bool, E> {
        Ok(self.0.is(key.to_string().as_bytes()))
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<bool, E> {
        Ok(self.0.is(key.to_string().as_bytes()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}
