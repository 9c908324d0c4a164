//! Which policies are allowed.

use super::ranges::{DAY_S, invalid, within};
use super::{Error, Policies, Site};

/// Ten years: longer is "for ever", which is what leaving it out means.
const LONGEST_S: u64 = 3650 * DAY_S;

pub(super) fn check(policy: &Policies, site: &Site) -> Result<(), Error> {
    for most in policy.sessions_max.iter() {
        within("policy.sessions_max", *most, 1..=1_000_000)?;
    }
    for most in policy.sessions_max_where.values() {
        within("policy.sessions_max_where", *most, 1..=1_000_000)?;
    }
    // Below a minute, a session would end while it is being opened.
    for lifetime_s in policy.lifetime_s.iter() {
        within("policy.lifetime_s", *lifetime_s, 60..=LONGEST_S)?;
    }
    for lifetime_s in policy.lifetime_where_s.values() {
        within("policy.lifetime_where_s", *lifetime_s, 60..=LONGEST_S)?;
    }
    for idle_s in policy.idle_s.iter() {
        within("policy.idle_s", *idle_s, 60..=LONGEST_S)?;
        knows_last_use(site)?;
    }
    within(
        "policy.check_interval_s",
        policy.check_interval_s,
        1..=DAY_S,
    )?;
    within("policy.batch_rows", policy.batch_rows, 1..=100_000)?;
    within("policy.pause_ratio", policy.pause_ratio, 0.0..=1000.0)?;
    tells_apart(policy, site)
}

/// Django, for example, keeps no time of the last use, and no policy can go by an unknown time.
fn knows_last_use(site: &Site) -> Result<(), Error> {
    // The column that Phoenix goes by tells when the session was opened.
    let is_of_use = site.lifetime_s.is_some_and(|lifetime_s| lifetime_s > 0);
    if site.used_column.is_some() || is_of_use && site.preset != "phoenix" {
        return Ok(());
    }
    let rule = format!(
        "cannot be kept: the store \"{}\" does not say when a session was last used; leave it out, or name the column that says so as site.used_column",
        site.preset
    );
    Err(invalid("policy.idle_s", rule))
}

fn tells_apart(policy: &Policies, site: &Site) -> Result<(), Error> {
    let needing = [
        (
            "policy.sessions_max_where",
            policy.sessions_max_where.is_empty(),
        ),
        (
            "policy.lifetime_where_s",
            policy.lifetime_where_s.is_empty(),
        ),
    ];
    let unsaid = needing.into_iter().find(|(_, is_empty)| !is_empty);
    match (unsaid, &site.policy_column) {
        (Some((name, _)), None) => Err(invalid(
            name,
            "needs site.policy_column: name the column of the user table whose values it is about"
                .to_owned(),
        )),
        // The values of this column can be found out by trying, so they must not be password hashes.
        (_, Some(column)) if Some(column) == site.password_column.as_ref() => Err(invalid(
            "site.policy_column",
            "must not be the column of the passwords: name one that tells kinds of users apart, such as is_staff".to_owned(),
        )),
        _ => Ok(()),
    }
}
