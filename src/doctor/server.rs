//! The server: what it is, and which of its settings matter here.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Opinion, Patient, fail, ok, warn};
use crate::connection::Error;

/// Major versions that this release was tried on.
const TRIED: std::ops::RangeInclusive<i32> = 14..=18;

/// Beyond that, a schedule is noticeably off.
const MOST_SKEW_S: f64 = 2.0;

pub(super) async fn version(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::server::version
            select current_setting('server_version_num')::integer / 10000, current_setting('server_version'),
                current_setting('transaction_read_only')::boolean",
            &[],
        )
        .await?;
    let (major, version): (i32, String) = (row.get(0), row.get(1));
    if row.get(2) {
        fail(
            "server.read_only",
            "",
            "read-only: connect to the primary, for instance with target_session_attrs=read-write",
        )
    } else if major < *TRIED.start() {
        fail(
            "server.too_old",
            "",
            format!(
                "PostgreSQL {version} is too old: session-reaper needs {} or newer",
                TRIED.start()
            ),
        )
    } else if major > *TRIED.end() {
        warn(
            "server.untried",
            "",
            format!(
                "PostgreSQL {version} is newer than this release was tried on ({} to {}): look for a newer one",
                TRIED.start(),
                TRIED.end()
            ),
        )
    } else {
        ok(format!("PostgreSQL {version}"))
    }
}

pub(super) async fn two_phase(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let setting = "-- doctor::server::two_phase
        select current_setting('max_prepared_transactions')::integer";
    let most: i32 = patient.client.query_one(setting, &[]).await?.get(0);
    if most == 0 {
        return ok("off, so changes are told at once");
    }
    warn(
        "two_phase.on",
        "alter system set max_prepared_transactions = 0",
        format!(
            "max_prepared_transactions is {most}, so no change is told by NOTIFY, which would make PREPARE TRANSACTION fail: the daemon finds changes by looking, every listen.poll_interval_s ({} s); set max_prepared_transactions = 0 if nobody prepares transactions",
            patient.settings.listen.poll_interval_s
        ),
    )
}

pub(super) async fn queue(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let usage = "-- doctor::server::queue
        select pg_notification_queue_usage()";
    let used: f64 = patient.client.query_one(usage, &[]).await?.get(0);
    let percent = used * 100.0;
    let says = format!(
        "{percent:.0} % of the notification queue is in use: a session that listens has had a transaction open for long; look for it in pg_stat_activity"
    );
    if used >= 0.5 {
        fail(
            "queue.full",
            "",
            format!("{says}; changes are no more told at once"),
        )
    } else if used >= 0.1 {
        warn("queue.filling", "", says)
    } else {
        ok(format!(
            "{percent:.0} % of the notification queue is in use"
        ))
    }
}

/// A table that is published without a replica identity cannot be updated or deleted from.
pub(super) async fn publications(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::server::publications
            select current_setting('wal_level'),
                coalesce((select string_agg(p.pubname, ', ') from pg_catalog.pg_publication p where p.puballtables), ''),
                coalesce((
                    select string_agg(c.relname, ', ')
                    from pg_catalog.pg_class c
                    where c.relnamespace = 'session_reaper'::regnamespace
                      and c.relkind = 'r'
                      and (c.relreplident = 'n' or c.relreplident = 'd' and not exists (
                        select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary))), '')",
            &[],
        )
        .await?;
    let (level, all, without): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    if all.is_empty() {
        ok(format!("wal_level is {level}, and none is for all tables"))
    } else if without.is_empty() {
        warn(
            "publications.all_tables",
            "",
            format!(
                "{all} publishes all tables, and with them session_reaper's: its subscribers hold session keys; publish the site's own tables only"
            ),
        )
    } else {
        fail(
            "publications.no_identity",
            "",
            format!(
                "{all} publishes all tables, and {without} in session_reaper has no replica identity, so that its rows cannot be changed: publish the site's own tables only"
            ),
        )
    }
}

/// Under it ordinary triggers do not fire, so a password that is written under it ends nothing.
pub(super) async fn replication_role(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::server::replication_role
            select current_setting('session_replication_role'),
                coalesce(string_agg(coalesce(nullif(s.setrole, 0)::regrole::text, 'every role'), ', '), '')
            from pg_catalog.pg_db_role_setting s
            where 'session_replication_role=replica' = any (s.setconfig)
              and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))",
            &[],
        )
        .await?;
    let (here, set_for): (String, String) = (row.get(0), row.get(1));
    if !set_for.is_empty() {
        warn(
            "replication.role_set",
            "",
            format!(
                "session_replication_role is set to replica for {set_for}: foreign keys do not fire for its changes, and a changed password also ends the session that the app keeps; reset it with alter role or alter database"
            ),
        )
    } else if here != "origin" {
        warn(
            "replication.role_here",
            "",
            format!(
                "session_replication_role is {here} on this connection: if it is so for the app, foreign keys do not fire for its changes, and a changed password also ends the session that the app keeps"
            ),
        )
    } else {
        ok(
            "foreign keys fire for every role, and an app may keep a session; neither holds for rows that replication writes",
        )
    }
}

/// The server alone decides which sessions are older than a change; the purge's schedule is the daemon's.
pub(super) async fn clock(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let seconds = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    };
    let ask = "-- doctor::server::clock
        select extract(epoch from clock_timestamp())::double precision";
    let before = seconds();
    let there: f64 = patient.client.query_one(ask, &[]).await?.get(0);
    let after = seconds();
    let skew = there - f64::midpoint(before, after);
    // The server read its clock at some time between the two, so a slow answer leaves that much open.
    let open = (after - before) / 2.0;
    if skew.abs() - open > MOST_SKEW_S {
        let how = if skew > 0.0 { "ahead of" } else { "behind" };
        return warn(
            "clock.skew",
            "",
            format!(
                "the server's clock is {:.1} s {how} this machine's: purges begin at this one's time; synchronise both",
                skew.abs()
            ),
        );
    }
    ok(format!("{:.0} ms from this machine's", skew.abs() * 1000.0))
}
