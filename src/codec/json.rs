//! JSON.

use serde::de::DeserializeSeed;

use super::path::Seek;
use super::step::Step;
use super::{Found, MAX_BYTES, Reason};

/// Finds the user at the end of a path of keys.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    seek(data, &Step::path(path)).into()
}

/// Finds the user at the end of a path of keys as PostgreSQL's `#>>` would in a column of type json or jsonb: where the path
/// leads nowhere, or to an empty text, nobody is logged in. Unlike `#>>`, it also reads what jsonb refuses beside the user,
/// `\u0000` and halves of surrogate pairs, and takes no fraction, truth or structure for an id.
///
/// ```
/// use session_reaper::codec::{Found, find_in_column};
///
/// let path = ["passport".to_owned(), "user".to_owned()];
/// let found = find_in_column(br#"{"flash":"\ud83d\u0000","passport":{"user":42}}"#, &path);
/// assert_eq!(found, Found::User("42".to_owned()));
/// assert_eq!(find_in_column(br#"{"passport":"none"}"#, &path), Found::Anonymous);
/// ```
pub fn find_in_column(data: &[u8], path: &[String]) -> Found {
    if data.len() > MAX_BYTES {
        return Found::Unreadable(Reason::TooLarge);
    }
    let steps = Step::path(path);
    let text = |id: &[u8]| {
        if id.is_empty() {
            Found::Anonymous
        } else {
            Found::text(id)
        }
    };
    match parse(data, Seek::text(&steps, &text)) {
        Ok(Found::Unreadable(Reason::NotMap)) => Found::Anonymous,
        found => found.into(),
    }
}

// Nothing is built, and serde_json skips without recursion what is not wanted, so depth costs no stack.
pub(super) fn seek(data: &[u8], path: &[Step]) -> Result<Found, Reason> {
    match parse(data, Seek::user(path)) {
        Err(Reason::NotJson) if data.windows(3).any(|word| word == b"NaN" || word == b"Inf") => {
            parse(&without_python_numbers(data), Seek::user(path))
        }
        found => found,
    }
}

fn parse(data: &[u8], user: Seek) -> Result<Found, Reason> {
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    let found = user
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
