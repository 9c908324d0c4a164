//! `django.contrib.sessions`.
//!
//! Today's format is `django.core.signing.dumps`: `[.]base64(json):timestamp:signature`, where the leading dot says
//! that the JSON was compressed. Until Django 3.1 it was `base64(signature:json)`, and 3.2 still reads that. Either is
//! signed, not encrypted, so it takes no secret to read. The signature is not checked: a role that can forge a row of
//! the session table can delete it, too.

use std::fmt;

use super::step::Step;
use super::{Found, MAX_BYTES, Reason, armour, inflate, json, pickle};

/// Who a session belongs to, and under which password.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's id.
    pub user: String,
    /// What Django remembers of the password.
    pub hash: AuthHash,
}

/// Django's `_auth_user_hash`: an HMAC of the user's password hash. Not shown by anything (P7).
#[derive(PartialEq, Eq)]
pub struct AuthHash(pub(super) String);

impl fmt::Debug for AuthHash {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("AuthHash")
    }
}

/// Reads the user's id and Django's hash of the password. `None` unless the data has both.
pub fn credentials(data: &[u8]) -> Option<Credentials> {
    let json = serialized(data).ok()?;
    let text = |key| match json::seek(&json, &[Step::new(key)]) {
        Ok(Found::User(text)) => Some(text),
        _ => None,
    };
    let (user, hash) = (text("_auth_user_id")?, text("_auth_user_hash")?);
    Some(Credentials {
        user,
        hash: AuthHash(hash),
    })
}

pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    serialized(data)
        .and_then(|json| json::seek(&json, &Step::path(path)))
        .into()
}

// What the session's serializer wrote, which is JSON unless the site says otherwise.
fn serialized(data: &[u8]) -> Result<Vec<u8>, Reason> {
    if data.len() > MAX_BYTES {
        return Err(Reason::TooLarge);
    }
    let serialized = match data.iter().position(|byte| *byte == b':') {
        Some(end) => unpack(&data[..end])?,
        None => strip_signature(armour::standard(data)?)?,
    };
    if pickle::is_pickle(&serialized) {
        return Err(Reason::Pickled);
    }
    Ok(serialized)
}

fn unpack(value: &[u8]) -> Result<Vec<u8>, Reason> {
    match value.strip_prefix(b".") {
        Some(packed) => inflate::zlib(&armour::url_safe(packed)?),
        None => armour::url_safe(value),
    }
}

// 40 hexadecimal digits of SHA-1 and a colon.
fn strip_signature(mut signed: Vec<u8>) -> Result<Vec<u8>, Reason> {
    const LENGTH: usize = 40;
    let is_signed =
        signed.get(LENGTH) == Some(&b':') && signed[..LENGTH].iter().all(u8::is_ascii_hexdigit);
    if !is_signed {
        return Err(Reason::NotFramed);
    }
    Ok(signed.split_off(LENGTH + 1))
}

#[cfg(test)]
mod tests;
