//! A codec in the settings: a name, or a table of a name and a path.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor, value};

use super::{Codec, Format};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    format: Format,
    user: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Setting)
    }
}

const NO_PATH: &str = "the format does not say where the user is: name the keys that lead there, outermost first, \
                       as in user = [\"passport\", \"user\"]";

const SYMFONY: &str = "Symfony's user is an attribute and a property of the user's class: user = [\"_security_\", \"id\"]";

const SCS: &str = "scs keeps its user under one key, which the app chooses: user = [\"userID\"]";

// By hand, because serde's own way to accept either form answers every mistake with the same sentence.
struct Setting;

impl<'de> Visitor<'de> for Setting {
    type Value = Codec;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the name of a format, or a table with `format` and `user`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Codec, E> {
        let format = Format::deserialize(value::StrDeserializer::new(name))?;
        complete(Table { format, user: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Codec, A::Error> {
        complete(Table::deserialize(value::MapAccessDeserializer::new(map))?)
    }
}

fn complete<E: Error>(table: Table) -> Result<Codec, E> {
    let mut codec = Codec::from(table.format);
    if let Some(user) = table.user {
        codec.user = user;
    }
    match (table.format, codec.user.as_slice()) {
        (Format::Symfony, user) if user.len() != 2 => Err(E::custom(SYMFONY)),
        (Format::Scs, user) if user.len() != 1 => Err(E::custom(SCS)),
        (_, []) => Err(E::custom(NO_PATH)),
        _ => Ok(codec),
    }
}
