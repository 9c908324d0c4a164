//! Symfony's `sess_data`: PHP's own session format, `name|serialized name|serialized`; with the handler `php_binary` a
//! byte with the length of each name in place of the `|`; and with `php_serialize` one serialized array of the same.
//! The attributes are `_sf2_attributes`; in them `_security_<firewall>` is a text that is itself serialized: the token,
//! which holds the user as an object of the app's own class.
//!
//! Tokens serialize to a list, whose inner lists are those of their parent classes, so the user is the first object met
//! that has the named property. While one user impersonates another, that is the user who logged in.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor,
};

use super::path::Seek;
use super::php::Php;
use super::step::Step;
use super::{Found, Reason};

const ATTRIBUTES: &str = "_sf2_attributes";

/// Finds the user. The path is the beginning of the attribute and the property that identifies a user.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    let [attribute, property] = path else {
        return Found::Unreadable(Reason::NotMap);
    };
    let attribute = match attribute.ends_with('_') {
        true => Step::prefix(attribute),
        false => Step::new(attribute),
    };
    let token = |text: &[u8]| {
        Php::whole(
            text,
            Token {
                property,
                is_object: false,
            },
        )
        .into()
    };
    let steps = [Step::new(ATTRIBUTES), attribute];
    match data.starts_with(b"a:") {
        true => Php::whole(data, Seek::text(&steps, &token)).into(),
        false => attributes(data, Seek::text(&steps[1..], &token)).into(),
    }
}

fn attributes(data: &[u8], seek: Seek) -> Result<Found, Reason> {
    let mut php = Php::new(data);
    let mut found = Found::Anonymous;
    // No name begins with a control character, and none that Symfony gives has as many as 32 characters.
    let is_binary = data.first().is_some_and(u8::is_ascii_control);
    while !php.cursor.is_at_end() {
        let name = if is_binary {
            let length = php.cursor.byte()?;
            php.cursor.take(length.into())?
        } else {
            php.cursor.until(b'|')?
        };
        if name == ATTRIBUTES.as_bytes() {
            found = seek.deserialize(&mut php).map_err(|fault| fault.0)?;
        } else {
            IgnoredAny::deserialize(&mut php).map_err(|fault| fault.0)?;
        }
    }
    Ok(found)
}

// A token, or a part of one. What has no such object in it is not anonymous but not understood.
#[derive(Clone, Copy)]
struct Token<'p> {
    property: &'p str,
    is_object: bool,
}

const NOT_HERE: Found = Found::Unreadable(Reason::NotKey);

impl<'de> DeserializeSeed<'de> for Token<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Token<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a token of Symfony's")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, properties: D) -> Result<Found, D::Error> {
        properties.deserialize_any(Self {
            is_object: true,
            ..self
        })
    }

    // Only what is at a place is looked into: what has its own name belongs to the app.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let part = Self {
            is_object: false,
            ..self
        };
        let mut found = NOT_HERE;
        while let Some(key) = map.next_key_seed(KeyOf(self.property))? {
            let known = matches!(found, Found::User(_));
            match key {
                Key::Wanted if self.is_object && !known => {
                    found = map.next_value_seed(Seek::user(&[]))?
                }
                Key::Place if !known => found = map.next_value_seed(part)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(if found == Found::Anonymous {
            NOT_HERE
        } else {
            found
        })
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Found, E> {
        Ok(NOT_HERE)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(NOT_HERE)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(NOT_HERE)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(NOT_HERE)
    }
}

enum Key {
    Place,
    Wanted,
    Other,
}

struct KeyOf<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a key of PHP's")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Key, E> {
        Ok(Key::Place)
    }

    // A private property is spelt with its class before it, between NULs.
    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Key, E> {
        let name = name.rsplit(|byte| *byte == 0).next();
        Ok(if name == Some(self.0.as_bytes()) {
            Key::Wanted
        } else {
            Key::Other
        })
    }
}
