//! The way to the user through maps and lists, for every format that serde reads.

use std::collections::VecDeque;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::step::{Matches, Step};
use super::value_object::ValueObject;
use super::{Found, Reason};

/// Follows steps and answers what it finds at their end. It reads to the end of the data, because where a key occurs
/// twice, all frameworks take the last one.
#[derive(Clone, Copy)]
pub(super) struct Seek<'p> {
    steps: &'p [Step<'p>],
    text: &'p dyn Fn(&[u8]) -> Found,
}

impl<'p> Seek<'p> {
    /// Seeks a user's id.
    pub(super) fn user(steps: &'p [Step<'p>]) -> Self {
        Self::text(steps, &Found::text)
    }

    /// Seeks a text in which the user has to be sought in turn.
    pub(super) fn text(steps: &'p [Step<'p>], text: &'p dyn Fn(&[u8]) -> Found) -> Self {
        Self { steps, text }
    }

    fn behind(self, steps: &'p [Step<'p>]) -> Self {
        Self { steps, ..self }
    }

    // How far from the end of a list the next step leads, and the steps behind it.
    fn back_from_end(self) -> Option<(usize, &'p [Step<'p>])> {
        let (step, rest) = self.steps.split_first()?;
        Some((step.from_end?, rest))
    }

    // Something that is no map and no list: the user, if it is where the user should be.
    fn scalar<E>(self, user: impl FnOnce() -> Found) -> Result<Found, E> {
        Ok(if self.steps.is_empty() {
            user()
        } else {
            Found::Unreadable(Reason::NotMap)
        })
    }

    fn no_key<E>(self) -> Result<Found, E> {
        self.scalar(|| Found::Unreadable(Reason::NotKey))
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
        let Some((step, rest)) = self.steps.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Unreadable(Reason::NotKey));
        };
        let mut found = Found::Anonymous;
        while let Some(matches) = map.next_key_seed(Matches(*step))? {
            if matches {
                found = step.join(found, map.next_value_seed(self.behind(rest))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let wanted = self
            .steps
            .split_first()
            .and_then(|(step, rest)| Some((step.index?, rest)));
        let mut found = Found::Unreadable(if self.steps.is_empty() {
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
            found = list.next_element_seed(self.behind(rest))?.unwrap_or(found);
        }
        if let Some((back, rest)) = self.back_from_end() {
            let mut last = VecDeque::new();
            while let Some(element) = list.next_element_seed(self.behind(rest))? {
                last.push_back(element);
                if last.len() > back {
                    last.pop_front();
                }
            }
            let is_there = last.len() == back;
            return Ok(last
                .pop_front()
                .filter(|_| is_there)
                .unwrap_or(Found::Anonymous));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Found, E> {
        self.scalar(|| (self.text)(text))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        self.visit_bytes(number.to_string().as_bytes())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        self.visit_bytes(number.to_string().as_bytes())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        self.no_key()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        self.no_key()
    }

    // null, on the way or at its end, is how some apps log a user out.
    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Anonymous)
    }

    // An object of PHP, whose properties are a map, and at the end of the way may hold the id; or an extension type of
    // MessagePack, which is no key.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Found, D::Error> {
        if self.steps.is_empty() {
            return deserializer.deserialize_any(ValueObject::new(self.text));
        }
        deserializer.deserialize_any(self)
    }
}
