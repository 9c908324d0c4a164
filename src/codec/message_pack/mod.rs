//! MessagePack, as tower-sessions and Flask-Session write it.

use rmp_serde::Deserializer;
use rmp_serde::decode::Error;
use serde::de::DeserializeSeed;

use super::path::Seek;
use super::step::Step;
use super::{Found, MAX_DEPTH, Reason, json, pickle};

/// Finds the user at the end of a path of keys.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    seek(data, &Step::path(path)).into()
}

/// tower-sessions stores a record of id, data and expiry; the user is in the data.
pub(super) fn find_in_record(data: &[u8], path: &[String]) -> Found {
    let mut steps = Step::path(path);
    steps.insert(0, Step::field("data", 1));
    seek(data, &steps).into()
}

/// Flask-Session writes MessagePack or, if told so, JSON; before 0.7 it wrote pickles.
pub(super) fn find_in_flask(data: &[u8], path: &[String]) -> Found {
    match data.first() {
        Some(b'{') => json::find_user(data, path),
        _ if pickle::is_pickle(data) => Found::Unreadable(Reason::Pickled),
        _ => find_user(data, path),
    }
}

fn seek(data: &[u8], steps: &[Step]) -> Result<Found, Reason> {
    let mut rest = data;
    let mut deserializer = Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let found = Seek::user(steps)
        .deserialize(&mut deserializer)
        .map_err(|error| reason(&error))?;
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(Reason::Malformed)
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) | Error::LengthMismatch(_) => {
            Reason::Truncated
        }
        Error::DepthLimitExceeded => Reason::TooDeep,
        _ => Reason::Malformed,
    }
}

#[cfg(test)]
mod tests;
