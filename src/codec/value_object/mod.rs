//! A user's id that is a PHP object around the id itself, such as Ramsey's and Symfony's UUIDs, and the apps' own
//! classes.
//!
//! The id is the only property, or the only one that has one of the names that such classes use; anything else is not
//! understood, because a wrong guess would end another user's session (P2). Of what libraries write:
//!
//! - Ramsey's `Uuid`: `bytes` with 16 bytes or the usual text, its lazy one `string`, older ones `uuid`
//! - Symfony's `Uuid` and `Ulid`: `uid` with the usual text, or 26 letters in base 32
//! - either of them before PHP 7.4: a text of the class's own, without names
//!
//! Both libraries' types for Doctrine keep all of these as `uuid` in PostgreSQL, so that is how they are spelt here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::php::Php;
use super::{Found, Reason};

/// The names that classes give to the property that has the id.
const NAMES: [&[u8]; 6] = [b"uid", b"uuid", b"id", b"value", b"string", b"bytes"];

/// Letters of Crockford's base 32, by their value.
const BASE_32: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const NOT_UNDERSTOOD: Found = Found::Unreadable(Reason::NotKey);

/// Finds the id; `text` says what a text means there.
#[derive(Clone, Copy)]
pub(super) struct ValueObject<'p> {
    text: &'p dyn Fn(&[u8]) -> Found,
    is_inside: bool,
}

impl<'p> ValueObject<'p> {
    pub(super) fn new(text: &'p dyn Fn(&[u8]) -> Found) -> Self {
        let is_inside = false;
        Self { text, is_inside }
    }

    fn inside(self) -> Self {
        Self {
            is_inside: true,
            ..self
        }
    }

    fn id(self, bytes: &[u8]) -> Found {
        match uuid(bytes).or_else(|| ulid(bytes)) {
            Some(uuid) => (self.text)(uuid.as_bytes()),
            None => (self.text)(bytes),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueObject<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueObject<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object around a user's id")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, object: D) -> Result<Found, D::Error> {
        // Not `inside`: what comes is the object's properties, or the text of its class.
        object.deserialize_any(Self {
            is_inside: false,
            ..self
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut properties: A) -> Result<Found, A::Error> {
        if self.is_inside {
            // An array, whatever is in it.
            while properties.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(NOT_UNDERSTOOD);
        }
        let (mut count, mut known, mut found) = (0, 0, NOT_UNDERSTOOD);
        while let Some(is_known) = properties.next_key_seed(IsKnown)? {
            count += 1;
            known += usize::from(is_known);
            if count == 1 || is_known {
                found = properties.next_value_seed(self.inside())?;
            } else {
                properties.next_value::<IgnoredAny>()?;
            }
        }
        Ok(if known == 1 || count == 1 {
            found
        } else {
            NOT_UNDERSTOOD
        })
    }

    // The value of a property, or what a class that serializes itself has written.
    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Found, E> {
        if self.is_inside || uuid(text).is_some() || is_spelt_uuid(text) {
            return Ok(self.id(text));
        }
        // Nothing that could hold another object of its kind, and so on.
        if !matches!(text.first(), Some(b'i' | b's')) {
            return Ok(NOT_UNDERSTOOD);
        }
        Ok(Php::whole(text, self.inside()).unwrap_or(NOT_UNDERSTOOD))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        Ok((self.text)(number.to_string().as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(NOT_UNDERSTOOD)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(NOT_UNDERSTOOD)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(NOT_UNDERSTOOD)
    }
}

/// Whether a property has a usual name. A private or protected one is spelt with its class, or `*`, before it, between
/// NULs.
struct IsKnown;

impl<'de> DeserializeSeed<'de> for IsKnown {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IsKnown {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the name of a property")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<bool, E> {
        let name = name.rsplit(|byte| *byte == 0).next();
        Ok(name.is_some_and(|name| NAMES.contains(&name)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }
}

/// Sixteen bytes as a UUID is spelt; nothing where they are a text of that length.
fn uuid(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    (!is_text).then(|| spelt(u128::from_be_bytes(bytes)))
}

fn is_spelt_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A ULID as the same UUID.
fn ulid(text: &[u8]) -> Option<String> {
    // More than 7 at the beginning would not fit.
    if text.len() != 26 || !(b'0'..=b'7').contains(text.first()?) {
        return None;
    }
    let digit = |letter: &u8| {
        let letter = letter.to_ascii_uppercase();
        BASE_32.iter().position(|known| *known == letter)
    };
    let mut value = 0u128;
    for letter in text {
        value = value << 5 | digit(letter)? as u128;
    }
    Some(spelt(value))
}

fn spelt(uuid: u128) -> String {
    let hex = format!("{uuid:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
    parts.join("-")
}

#[cfg(test)]
mod tests;
