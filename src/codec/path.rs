//! The way to the user through maps and lists, for every format that serde reads.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Found, Reason};

/// A step of the way: a key of a map, or a place in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'p> {
    pub(super) key: &'p str,
    pub(super) index: Option<usize>,
}

impl<'p> Step<'p> {
    /// A step is a place in a list if it is a number.
    pub(super) fn new(key: &'p str) -> Self {
        Self {
            key,
            index: key.parse().ok(),
        }
    }

    pub(super) fn path(keys: &'p [String]) -> Vec<Self> {
        keys.iter().map(|key| Self::new(key)).collect()
    }
}

/// Follows the steps and answers what it finds at their end. It reads to the end of the data, because where a key
/// stands twice all frameworks take the last one.
#[derive(Clone, Copy)]
pub(super) struct Seek<'p>(pub(super) &'p [Step<'p>]);

impl Seek<'_> {
    // Something that is no map and no list: the user, if it is where the user should be.
    fn scalar(self, user: impl FnOnce() -> Found) -> Found {
        if self.0.is_empty() {
            user()
        } else {
            Found::Unreadable(Reason::NotMap)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the data of a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((step, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Unreadable(Reason::NotKey));
        };
        let mut found = Found::Anonymous;
        while let Some(matches) = map.next_key_seed(Matches(step.key))? {
            if matches {
                found = map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let wanted = self
            .0
            .split_first()
            .and_then(|(step, rest)| Some((step.index?, rest)));
        let mut found = Found::Unreadable(if self.0.is_empty() {
            Reason::NotKey
        } else {
            Reason::NotMap
        });
        if let Some((index, rest)) = wanted {
            found = Found::Anonymous;
            for _ in 0..index {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(found);
                }
            }
            found = list.next_element_seed(Seek(rest))?.unwrap_or(found);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(self.scalar(|| Found::user(text)))
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Found, E> {
        Ok(self.scalar(|| match std::str::from_utf8(text) {
            Ok(text) => Found::user(text),
            Err(_) => Found::Unreadable(Reason::NotKey),
        }))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        Ok(self.scalar(|| Found::User(number.to_string())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        Ok(self.scalar(|| Found::User(number.to_string())))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.scalar(|| Found::Unreadable(Reason::NotKey)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.scalar(|| Found::Unreadable(Reason::NotKey)))
    }

    // null, on the way or at its end, is how some apps log a user out.
    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Anonymous)
    }

    // An extension type of MessagePack.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Found, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(self.scalar(|| Found::Unreadable(Reason::NotKey)))
    }
}

// Compares a key with the one that is looked for, without keeping either. As bytes, because Python writes keys that
// are not Unicode, and they must not hide those that are.
struct Matches<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Matches<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Matches<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }
}
