//! `activerecord-session_store`: base64 of Ruby's Marshal, or JSON with the session under `value`. Which one it is can
//! differ from row to row (its `hybrid` serializer).

use super::marshal::Marshal;
use super::path::Seek;
use super::step::Step;
use super::{Found, Reason, armour, json};

/// Finds the user at the end of a path of keys.
pub(super) fn find_user(data: &[u8], path: &[String]) -> Found {
    let mut steps = Step::path(path);
    if data.trim_ascii_start().starts_with(b"{") {
        steps.insert(0, Step::new("value"));
        return json::seek(data, &steps).into();
    }
    armour::standard(data)
        .and_then(|session| unmarshal(&session, &steps))
        .into()
}

fn unmarshal(session: &[u8], steps: &[Step]) -> Result<Found, Reason> {
    Marshal::whole(session, Seek::user(steps))
}
