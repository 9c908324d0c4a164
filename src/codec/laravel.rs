//! Laravel's `payload`: base64 around PHP's serialization or JSON. The logged-in user is under
//! `login_<guard>_<SHA-1 of a class name>`.

use super::path::Seek;
use super::php::Php;
use super::step::Step;
use super::{Found, Reason, armour, json};

/// Finds the user. The path is the beginning of the key, which names the guard if a site has several.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    let step = match path {
        [prefix] if prefix.ends_with('_') => vec![Step::guard(prefix)],
        _ => Step::path(path),
    };
    armour::standard(data)
        .and_then(|session| seek(&session, &step))
        .into()
}

fn seek(session: &[u8], steps: &[Step]) -> Result<Found, Reason> {
    if session.starts_with(b"{") {
        return json::seek(session, steps);
    }
    // What Laravel's encrypter writes is once more base64, of JSON that begins with `{"iv":`.
    if session.starts_with(b"eyJpdiI6") {
        return Err(Reason::Encrypted);
    }
    Php::whole(session, Seek::user(steps))
}
