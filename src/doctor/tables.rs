//! The tables: whether what is in them makes sense, and whether they are kept small.

use super::{Opinion, Patient, Verdict, ok, warn};
use crate::{connection::Error, schema::quote_identifier};

/// How many sessions are looked at.
const LOOKED_AT: i64 = 10_000;

/// Fewer sessions that all look alike are no sign of anything.
const TELLING: i64 = 20;

/// Fewer dead rows slow nothing down.
const MANY_DEAD: f64 = 10_000.0;

/// A wrong column, zone or lifetime shows across all sessions: no user seems logged in, or none ever leaves.
pub(super) async fn expiry(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let Some(expires) = &site.expires else {
        return ok("sessions do not expire");
    };
    let look = site.render(
        "-- doctor::tables::expiry
        select count(*), count(*) filter (where v.has_expired),
            count(*) filter (where v.at is null or v.at > now() + interval '10 years')
        from (
            select :is_expired as has_expired, :expires_at as at from :\"session_schema\".:\"session_table\" s limit $1
        ) v",
    );
    let row = patient.client.query_one(&look, &[&LOOKED_AT]).await?;
    let (all, expired, lasting): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let column = quote_identifier(&expires.column.name);
    if all >= TELLING && expired == all {
        warn(
            "expiry.everything",
            "",
            format!(
                "all {all} sessions that were looked at have expired by {column}, so that nobody is logged in: if somebody is, stop the daemon, because purges delete live sessions, and correct expires_column, time_zone or lifetime_s in [site]"
            ),
        )
    } else if all >= TELLING && lasting == all {
        warn(
            "expiry.never",
            "",
            format!(
                "none of {all} sessions that were looked at expires within ten years by {column}, so that nothing is ever purged: name the column that says when they do as site.expires_column"
            ),
        )
    } else {
        ok(format!(
            "{expired} of {all} sessions that were looked at have expired"
        ))
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
            "-- doctor::tables::expiry_index
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
    let mend = format!(
        "create index concurrently on {} ({column})",
        site.sessions.quoted()
    );
    let says =
        format!("{column} has none, so that every batch of a purge reads the whole table: {mend}");
    warn("expiry.no_index", mend, says)
}

/// What refers to a session without "on delete cascade" keeps it from being deleted: by us, too.
pub(super) async fn references(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Ok(site) = &patient.site else {
        return Ok(Vec::new());
    };
    let row = patient
        .client
        .query_one(
            "-- doctor::tables::references
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
    warn(
        "references.keep",
        "",
        format!(
            "a session that a row of {tables} refers to cannot be deleted, neither by session-reaper nor by the app: recreate that foreign key with on delete cascade"
        ),
    )
}

/// What PostgreSQL cannot clean up makes every look into a table slower: the app's, too.
pub(super) async fn autovacuum(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let (sessions, users) = match &patient.site {
        Ok(site) => (site.sessions.quoted(), site.users.quoted()),
        Err(_) => return Ok(Vec::new()),
    };
    let rows = patient
        .client
        .query(
            "-- doctor::tables::autovacuum
            select c.oid::regclass::text, s.n_dead_tup::double precision,
                not (current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean
                    and coalesce(o.said ->> 'autovacuum_enabled', 'true')::boolean),
                coalesce((o.said ->> 'autovacuum_vacuum_threshold')::double precision,
                        current_setting('autovacuum_vacuum_threshold')::double precision)
                    + coalesce((o.said ->> 'autovacuum_vacuum_scale_factor')::double precision,
                        current_setting('autovacuum_vacuum_scale_factor')::double precision)
                    * greatest(c.reltuples, s.n_live_tup, 0)
            from pg_catalog.pg_class c
            join pg_catalog.pg_stat_user_tables s on s.relid = c.oid
            cross join lateral (
                select pg_catalog.jsonb_object_agg(p.option_name, p.option_value) as said
                from pg_catalog.pg_options_to_table(c.reloptions) p
            ) o
            where c.relkind = 'r'
              and (c.oid in (pg_catalog.to_regclass($1), pg_catalog.to_regclass($2))
                or c.relnamespace = pg_catalog.to_regnamespace('session_reaper'))
            order by s.n_dead_tup desc",
            &[&sessions, &users],
        )
        .await?;
    let opinions: Vec<Opinion> = rows
        .iter()
        .filter_map(|row| of_table(row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    if opinions.is_empty() {
        return ok("keeps up");
    }
    Ok(opinions)
}

/// Three times what autovacuum waits for: it comes once a minute and takes a while.
fn of_table(table: String, dead: f64, is_off: bool, waits_for: f64) -> Option<Opinion> {
    let mend = format!("vacuum {table}");
    if is_off {
        let says = format!(
            "is off for {table}, so that it grows with everything that is deleted from it: alter table {table} reset (autovacuum_enabled), or set autovacuum and track_counts to on"
        );
        return Some(Opinion::new(Verdict::Warn, "autovacuum.off", "", says));
    }
    if dead < MANY_DEAD || dead < 3.0 * waits_for {
        return None;
    }
    let says = format!(
        "is behind on {table}, which has {dead:.0} dead rows: an old transaction holds it back, which pg_stat_activity shows by backend_xmin, or it is too slow (autovacuum_vacuum_cost_limit, autovacuum_max_workers)"
    );
    Some(Opinion::new(Verdict::Warn, "autovacuum.behind", mend, says))
}
