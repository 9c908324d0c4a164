//! How fast revocations are: the last hour in numbers, and each of the last ones.

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::{connection::Error, wording};

/// After a breach the sessions of all users have been revoked within the hour: more revocations than this are not
/// sorted.
const MOST_SORTED: i64 = 100_000;

/// How long the revocations of the last hour took. None where there was none.
#[derive(Debug, Default, Serialize)]
pub struct Percentiles {
    /// How many there were.
    pub revocations: i64,
    /// Half of them took no longer than this, in seconds.
    pub p50_s: Option<f64>,
    /// Nineteen in twenty.
    pub p95_s: Option<f64>,
    /// 99 in a hundred.
    pub p99_s: Option<f64>,
    /// None took longer.
    pub longest_s: Option<f64>,
}

/// The last hour.
#[derive(Debug, Default, Serialize)]
pub struct LastHour {
    /// From the change until its sessions were gone.
    pub gone: Percentiles,
    /// From the change until no older session could come any more.
    pub settled: Percentiles,
}

/// One of the last revocations.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Until its sessions were gone, in seconds.
    pub gone_s: f64,
    /// Until it had settled.
    pub settled_s: Option<f64>,
}

/// Reads the last hour.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub(super) async fn last_hour(client: &Client) -> Result<LastHour, Error> {
    let row = client
        .query_one(
            "-- status::latency::last_hour
            with lately as materialized (
                (select l.revoked_at, l.gone_s, l.settled_s
                from session_reaper.latency() l
                where l.reason <> 'canary' and l.state = 'settled' and l.settled_at > clock_timestamp() - interval '1 hour'
                order by l.settled_at desc limit $1)
                union all
                (select l.revoked_at, l.gone_s, null
                from session_reaper.latency() l
                where l.reason <> 'canary' and l.state <> 'settled' limit $1)
            ), gone as (
                select l.gone_s as s from lately l
                where l.revoked_at > clock_timestamp() - interval '1 hour' and l.gone_s is not null
            ), settled as (
                select l.settled_s as s from lately l where l.settled_s is not null
            )
            select g.count, g.spread, g.max, s.count, s.spread, s.max
            from (select count(*), max(g.s), percentile_cont(array[0.5, 0.95, 0.99]) within group (order by g.s) as spread
                  from gone g) g,
                 (select count(*), max(s.s), percentile_cont(array[0.5, 0.95, 0.99]) within group (order by s.s) as spread
                  from settled s) s",
            &[&MOST_SORTED],
        )
        .await?;
    Ok(LastHour {
        gone: percentiles(&row, 0),
        settled: percentiles(&row, 3),
    })
}

fn percentiles(row: &Row, at: usize) -> Percentiles {
    let spread: Option<Vec<Option<f64>>> = row.get(at + 1);
    let part = |number: usize| spread.as_ref().and_then(|parts| *parts.get(number)?);
    Percentiles {
        revocations: row.get(at),
        p50_s: part(0),
        p95_s: part(1),
        p99_s: part(2),
        longest_s: row.get(at + 2),
    }
}

/// Reads how long each of the last ones took, the newest first, at most this many.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn points(client: &Client, most: i64) -> Result<Vec<Point>, Error> {
    let rows = client
        .query(
            "-- status::latency::points
            select l.gone_s, l.settled_s
            from (select * from session_reaper.latency() n where n.reason <> 'canary' order by n.id desc limit $1) l
            where l.gone_s is not null
            order by l.id desc",
            &[&most],
        )
        .await?;
    let point = |row: &Row| Point {
        gone_s: row.get(0),
        settled_s: row.get(1),
    };
    Ok(rows.iter().map(point).collect())
}

impl Percentiles {
    /// In words; nothing where there was none.
    pub fn describe(&self) -> Option<String> {
        let long = |seconds: Option<f64>| wording::lasting(seconds.unwrap_or_default());
        (self.revocations > 0).then(|| {
            format!(
                "half within {}, 95 % within {}, 99 % within {}, the slowest {}",
                long(self.p50_s),
                long(self.p95_s),
                long(self.p99_s),
                long(self.longest_s)
            )
        })
    }
}
