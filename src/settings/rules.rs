//! The rules that a value has to keep although its type is right.
//!
//! A number out of range would otherwise show up much later: as a timer that never fires, a transaction
//! that holds a million row locks, or a timestamp that the server refuses.

use croner::parser::{CronParser, Seconds};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::ranges::{DAY_S, invalid, within};
use super::serde_message::nearest;
use super::{
    Doctor, Error, FINDINGS, Link, Listen, Log, Purge, Revoke, Settings, Site, cache_rules, canary,
    policy_rules, site_rules,
};

pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    database(&settings.database)?;
    site(&settings.site)?;
    listen(&settings.listen)?;
    link(&settings.link)?;
    revoke(&settings.revoke)?;
    settings.cache.as_ref().map_or(Ok(()), cache_rules::check)?;
    purge(&settings.purge)?;
    settings.metrics.listen_on()?;
    policy_rules::check(&settings.policy, &settings.site)?;
    canary::check(&settings.canary)?;
    log(&settings.log)?;
    doctor(&settings.doctor)
}

fn database(database: &super::Database) -> Result<(), Error> {
    // Revoking, linking and purging hold a connection each; with fewer, a purge would make a revocation wait.
    within("database.pool_size", database.pool_size, 3..=100)?;
    within(
        "database.connect_timeout_s",
        database.connect_timeout_s,
        1..=3600,
    )?;
    // To PostgreSQL, 0 would mean no limit at all.
    within(
        "database.statement_timeout_s",
        database.statement_timeout_s,
        1..=DAY_S,
    )
}

fn site(site: &Site) -> Result<(), Error> {
    named(site)?;
    within("site.queue_mb", site.queue_mb, 1..=1_048_576)?;
    within("site.check_interval_s", site.check_interval_s, 1..=DAY_S)?;
    let roles = site.app_roles.iter().map(|role| ("site.app_roles", role));
    let path = site.user_path.iter().flatten();
    let given = [
        ("site.user_table", Some(&site.user_table)),
        ("site.user_key", site.user_key.as_ref()),
        ("site.password_column", site.password_column.as_ref()),
        ("site.policy_column", site.policy_column.as_ref()),
        ("site.session_table", Some(&site.session_table)),
        ("site.session_key", Some(&site.session_key)),
        ("site.user_column", site.user_column.as_ref()),
        ("site.data_column", site.data_column.as_ref()),
        ("site.expires_column", site.expires_column.as_ref()),
        ("site.used_column", site.used_column.as_ref()),
        ("site.time_zone", site.time_zone.as_ref()),
        ("site.daemon_role", site.daemon_role.as_ref()),
    ];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain(path.map(|key| ("site.user_path", key)))
        .chain(roles)
        .try_for_each(|(name, value)| identifier(name, value))?;
    site_rules::check(site)?;
    match site.lifetime_s {
        // Ten years: longer is "never", which is what leaving out expires_column means.
        Some(lifetime_s) => within("site.lifetime_s", lifetime_s, 0..=3650 * DAY_S),
        None => Ok(()),
    }
}

// The operator has to name what a preset does not know.
fn named(site: &Site) -> Result<(), Error> {
    let knows_what_ends = site.watch.is_some() || site.password_column.is_some();
    let names = [
        ("site.user_table", !site.user_table.is_empty()),
        ("site.password_column", knows_what_ends),
        ("site.session_table", !site.session_table.is_empty()),
        ("site.session_key", !site.session_key.is_empty()),
    ];
    match names.into_iter().find(|(_, is_named)| !is_named) {
        Some((name, _)) => {
            let rule = format!("has to be set: the preset {} does not know it", site.preset);
            Err(invalid(name, rule))
        }
        None => Ok(()),
    }
}

fn listen(listen: &Listen) -> Result<(), Error> {
    within("listen.heartbeat_s", listen.heartbeat_s, 1..=3600)?;
    within("listen.poll_interval_s", listen.poll_interval_s, 1..=DAY_S)
}

fn link(link: &Link) -> Result<(), Error> {
    within("link.poll_interval_s", link.poll_interval_s, 1..=DAY_S)?;
    within("link.batch_rows", link.batch_rows, 1..=100_000)?;
    within("link.verify_after_s", link.verify_after_s, 1..=DAY_S)?;
    within("link.pause_ratio", link.pause_ratio, 0.0..=1000.0)
}

fn revoke(revoke: &Revoke) -> Result<(), Error> {
    within("revoke.batch_rows", revoke.batch_rows, 1..=100_000)?;
    within(
        "revoke.write_back_grace_s",
        revoke.write_back_grace_s,
        0..=DAY_S,
    )?;
    within("revoke.settle_cap_s", revoke.settle_cap_s, 1..=365 * DAY_S)
}

fn purge(purge: &Purge) -> Result<(), Error> {
    schedule(&purge.schedule)?;
    within("purge.batch_rows", purge.batch_rows, 1..=100_000)?;
    // NaN lies in no range, so it is refused as well.
    within("purge.pause_ratio", purge.pause_ratio, 0.0..=100.0)?;
    // A hundred years: beyond some 6,000, PostgreSQL cannot go back from today.
    within("purge.retention_d", purge.retention_d, 0..=36_500)
}

fn log(log: &Log) -> Result<(), Error> {
    // A filter takes any bare word for the name of a module, so a misspelt level would silence everything else.
    let is_bare = log.level.chars().all(char::is_alphanumeric);
    let is_level = log.level.parse::<LevelFilter>().is_ok();
    if (is_bare && !is_level) || log.level.parse::<Targets>().is_err() {
        let rule =
            "has to be error, warn, info, debug or trace, or a filter such as session_reaper=debug";
        return Err(invalid("log.level", rule.to_owned()));
    }
    Ok(())
}

// A misspelt one would silence nothing, and the operator would not notice.
fn doctor(doctor: &Doctor) -> Result<(), Error> {
    let known = |id: &&String| FINDINGS.contains(&id.as_str());
    match doctor.silence.iter().find(|id| !known(id)) {
        Some(unknown) => {
            let nearest = nearest(unknown, FINDINGS.iter().copied()).unwrap_or_default();
            let rule =
                format!("names a finding that doctor does not know; the nearest one is {nearest}");
            Err(invalid("doctor.silence", rule))
        }
        None => Ok(()),
    }
}

// With the same options as tokio-cron-scheduler, which would refuse a different set of expressions otherwise.
fn schedule(schedule: &str) -> Result<(), Error> {
    if schedule.is_empty() {
        return Ok(());
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build();
    parser.parse(schedule).map(|_| ()).map_err(|error| {
        let rule = format!("has to be a cron expression of six fields, seconds first, such as 0 */5 * * * *: {error}");
        invalid("purge.schedule", rule)
    })
}

// PostgreSQL refuses the same names, but only once a statement is sent, and a NUL ends the message early.
fn identifier(name: &'static str, value: &str) -> Result<(), Error> {
    if value.trim().is_empty() {
        return Err(invalid(
            name,
            "must not be empty; leave it out for its default".to_owned(),
        ));
    }
    if value.contains('\0') {
        return Err(invalid(name, "must not contain a NUL character".to_owned()));
    }
    Ok(())
}
