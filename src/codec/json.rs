//! JSON.

use serde::de::DeserializeSeed;

use super::path::Seek;
use super::step::Step;
use super::{Found, Reason};

/// Finds the user at the end of a path of keys.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    seek(data, &Step::path(path)).into()
}

// Nothing is built and what is skipped is skipped without recursion, so depth costs neither memory nor stack.
pub(super) fn seek(data: &[u8], path: &[Step]) -> Result<Found, Reason> {
    match parse(data, path) {
        Err(Reason::NotJson) if data.windows(3).any(|word| word == b"NaN" || word == b"Inf") => {
            parse(&without_python_numbers(data), path)
        }
        found => found,
    }
}

fn parse(data: &[u8], path: &[Step]) -> Result<Found, Reason> {
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    let found = Seek::user(path)
        .deserialize(&mut deserializer)
        .map_err(|error| reason(&error))?;
    deserializer.end().map_err(|error| reason(&error))?;
    Ok(found)
}

fn reason(error: &serde_json::Error) -> Reason {
    if error.is_eof() {
        Reason::Truncated
    } else {
        Reason::NotJson
    }
}

// Python writes NaN, Infinity and -Infinity, which are not JSON. A session that holds one is still its user's, so
// each becomes a number; the text keeps its length.
fn without_python_numbers(data: &[u8]) -> Vec<u8> {
    let mut text = data.to_vec();
    let (mut at, mut quoted) = (0, false);
    while at < text.len() {
        match text[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b'N' if !quoted && text[at..].starts_with(b"NaN") => {
                text[at..at + 3].copy_from_slice(b"0.0")
            }
            b'I' if !quoted && text[at..].starts_with(b"Infinity") => {
                text[at..at + 8].copy_from_slice(b"0.000000")
            }
            _ => {}
        }
        at += 1;
    }
    text
}
