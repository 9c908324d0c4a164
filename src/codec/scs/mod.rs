//! `alexedwards/scs`, of Go: by default `encoding/gob` of a struct of a deadline and a map of values.
//!
//! Values of the app's own types are skipped, with one exception that makes the session unreadable: a type with an
//! interface in it that holds yet another of the app's types.

use super::cursor::Cursor;
use super::gob::Gob;
use super::{Found, Reason};

/// Finds the user under a key of the map. Go knows the type of what lies deeper, and the data does not show it.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    match path {
        [key] => session(data, key.as_bytes()).into(),
        _ => Found::Unreadable(Reason::NotMap),
    }
}

fn session(data: &[u8], key: &[u8]) -> Result<Found, Reason> {
    let mut gob = Gob(Cursor::new(data));
    let mut found = Found::Anonymous;
    gob.unsigned()?;
    gob.type_of_value()?;
    gob.fields(|gob, field| {
        match field {
            1 => drop(gob.bytes()?),
            2 => found = values(gob, key)?,
            _ => return Err(Reason::Malformed),
        }
        Ok(())
    })?;
    if gob.0.is_at_end() {
        Ok(found)
    } else {
        Err(Reason::Malformed)
    }
}

fn values(gob: &mut Gob, wanted: &[u8]) -> Result<Found, Reason> {
    let mut found = Found::Anonymous;
    for _ in 0..gob.unsigned()? {
        let key = gob.bytes()?;
        let value = interface(gob)?;
        if key == wanted {
            found = user(value)?;
        }
    }
    Ok(found)
}

// The name of a type, the type, and the value with its length before it. Without a name it is nil.
fn interface<'d>(gob: &mut Gob<'d>) -> Result<Option<(i64, &'d [u8])>, Reason> {
    if gob.bytes()?.is_empty() {
        return Ok(None);
    }
    Ok(Some((gob.type_of_value()?, gob.bytes()?)))
}

// The numbers are those that gob gives the types that it knows by itself. What is no struct has a zero before it.
fn user(value: Option<(i64, &[u8])>) -> Result<Found, Reason> {
    const INT: i64 = 2;
    const UINT: i64 = 3;
    const STRING: i64 = 6;
    let Some((number, value)) = value else {
        return Ok(Found::Anonymous);
    };
    let mut gob = Gob(Cursor::new(value));
    if !matches!(number, INT | UINT | STRING) {
        return Ok(Found::Unreadable(Reason::NotKey));
    }
    gob.0.expect(&[0])?;
    let found = match number {
        INT => Found::User(gob.signed()?.to_string()),
        UINT => Found::User(gob.unsigned()?.to_string()),
        _ => Found::text(gob.bytes()?),
    };
    if gob.0.is_at_end() {
        Ok(found)
    } else {
        Err(Reason::Malformed)
    }
}

#[cfg(test)]
mod tests;
