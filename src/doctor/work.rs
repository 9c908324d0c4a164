//! The work: whether it is being done, and what could keep it from being done.

use super::{Opinion, Patient, Verdict, fail, ok, warn};
use crate::{connection::Error, purger::Purger, schema::quote_identifier};

/// A revocation that is open for longer waits for somebody.
const LONG_S: f64 = 60.0;

/// Without a purge for this long, nobody purges.
const PURGE_OVERDUE_S: f64 = 3600.0;

pub(super) async fn daemon(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    match &patient.status {
        Some(status) if status.served => ok("serves this database"),
        _ => fail(
            "none serves this database, so a changing transaction ends the linked sessions itself, and nothing is settled or purged: start `session-reaper run`",
        ),
    }
}

pub(super) async fn revocations(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Some(status) = &patient.status else {
        return Ok(Vec::new());
    };
    let open = status.requested + status.revoked;
    let mut opinions = Vec::new();
    let mut note = |says| opinions.push((Verdict::Warn, says));
    if status.failing > 0 {
        note(format!(
            "{} fail and are tried again: their SQLSTATE is last_error in session_reaper.revocation, the reason in the daemon's log",
            status.failing
        ));
    }
    for wait in status
        .waits_for
        .iter()
        .filter(|wait| wait.waited_s > LONG_S)
    {
        note(format!(
            "{} wait for {}, for {:.0} s: end it, or wait until revoke.settle_cap_s",
            wait.revocations,
            wait.describe(),
            wait.waited_s
        ));
    }
    let oldest = status.oldest_open_s.unwrap_or_default();
    if opinions.is_empty() && oldest > LONG_S {
        opinions.push((
            Verdict::Warn,
            format!("{open} open, the oldest for {oldest:.0} s: see `session-reaper status` and the daemon's log"),
        ));
    }
    if opinions.is_empty() {
        return ok(format!("{open} open"));
    }
    Ok(opinions)
}

/// What nobody has read, nobody can end.
pub(super) async fn reading(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (Ok(site), Some(status)) = (&patient.site, &patient.status) else {
        return Ok(Vec::new());
    };
    if !site.reading.reads() {
        return ok("the app links its sessions itself");
    }
    let lines = status.unread.lines();
    if lines.is_empty() {
        return ok("every session has been read for its user");
    }
    Ok(lines
        .into_iter()
        .map(|(about, says)| (Verdict::Warn, format!("{about}: {says}")))
        .collect())
}

pub(super) async fn purge(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (Ok(site), Some(status)) = (&patient.site, &patient.status) else {
        return Ok(Vec::new());
    };
    let expired = Purger::new(patient.target.pool()?, site)
        .count_expired()
        .await?;
    let last = status.last_purge.as_ref().map(|purge| purge.ago_s);
    if expired == 0 {
        return ok("no expired session waits");
    }
    if patient.settings.purge.schedule.is_empty() {
        return warn(format!(
            "{expired} expired sessions wait, and purge.schedule is empty: set it, or run `session-reaper purge`"
        ));
    }
    match last {
        Some(ago) if ago < PURGE_OVERDUE_S => ok(format!(
            "{expired} expired sessions wait for the next one; the last ended {ago:.0} s ago"
        )),
        Some(ago) => warn(format!(
            "{expired} expired sessions wait, and the last purge ended {ago:.0} s ago: see the daemon's log, or run `session-reaper purge`"
        )),
        None => warn(format!(
            "{expired} expired sessions wait, and none has been purged yet: a daemon begins with it, or run `session-reaper purge`"
        )),
    }
}

/// Without one, every batch of a purge reads the whole table.
pub(super) async fn expiry_index(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let Some(expires) = &site.expires else {
        return ok("sessions do not expire");
    };
    let row = patient
        .client
        .query_one(
            "-- doctor::work::expiry_index
            select exists (
                select
                from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                where i.indrelid = pg_catalog.to_regclass($1) and a.attname = $2::text
                  and i.indisvalid and i.indpred is null)",
            &[&site.sessions.quoted(), &expires.column.name],
        )
        .await?;
    let column = quote_identifier(&expires.column.name);
    if row.get(0) {
        return ok(format!("{column} has one"));
    }
    warn(format!(
        "{column} has none, so that every batch of a purge reads the whole table: create index concurrently on {} ({column})",
        site.sessions.quoted()
    ))
}

/// What refers to a session without "on delete cascade" keeps it from being deleted: by us, too.
pub(super) async fn references(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let row = patient
        .client
        .query_one(
            "-- doctor::work::references
            select coalesce(string_agg(c.conrelid::regclass::text, ', ' order by c.conrelid::regclass::text), '')
            from pg_catalog.pg_constraint c
            where c.confrelid = pg_catalog.to_regclass($1)
              and c.contype = 'f'
              and c.confdeltype in ('a', 'r')",
            &[&site.sessions.quoted()],
        )
        .await?;
    let tables: String = row.get(0);
    if tables.is_empty() {
        return ok(format!("nothing keeps rows of {} alive", site.sessions));
    }
    warn(format!(
        "a session that a row of {tables} refers to cannot be deleted, by nobody: recreate that foreign key with on delete cascade"
    ))
}
