//! Transactions that keep revocations from settling.

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::connection::Error;

/// A transaction that was open at a change and still is.
#[derive(Debug, Serialize)]
pub struct Wait {
    /// `open` or `prepared`.
    pub kind: String,
    /// Process id of its backend; none for a prepared transaction.
    pub pid: Option<i32>,
    /// Whose it is.
    pub role: Option<String>,
    /// What the client calls itself.
    pub application: Option<String>,
    /// How long revocations have waited for it, in seconds.
    pub waited_s: f64,
    /// How many wait.
    pub revocations: i64,
}

impl Wait {
    /// Which transaction, and whose.
    pub fn describe(&self) -> String {
        let pid = self
            .pid
            .map_or_else(String::new, |pid| format!(" of process {pid}"));
        let role = self.role.as_deref().unwrap_or("an unknown role");
        let application = self
            .application
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or("unnamed");
        format!("the {} transaction{pid} ({role}, {application})", self.kind)
    }
}

/// Reads which they are, the longest first.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub(super) async fn read(client: &Client) -> Result<Vec<Wait>, Error> {
    let rows = client
        .query(
            "-- status::waits::read
            with waiting as (
                select h.id, h.captured_at, h.virtual_transactions, h.prepared_transactions, count(*) as revocations
                from session_reaper.horizon h
                join session_reaper.revocation r on r.horizon_id = h.id and r.state = 'revoked'
                where h.passed_at is null and h.server_started_at = pg_postmaster_start_time()
                group by h.id
            )
            select 'open', l.pid, max(a.usename)::text, max(a.application_name),
                   max(extract(epoch from clock_timestamp() - w.captured_at))::double precision,
                   sum(w.revocations)::bigint
            from waiting w
            join pg_catalog.pg_locks l
                on l.locktype = 'virtualxid' and l.granted and l.virtualxid = any (w.virtual_transactions)
            left join pg_catalog.pg_stat_activity a on a.pid = l.pid
            group by l.pid
            union all
            select 'prepared', null, max(p.owner)::text, max(p.gid),
                   max(extract(epoch from clock_timestamp() - w.captured_at))::double precision,
                   sum(w.revocations)::bigint
            from waiting w
            join pg_catalog.pg_prepared_xacts p on p.transaction::text = any (w.prepared_transactions)
            group by p.transaction
            order by 5 desc",
            &[],
        )
        .await?;
    let wait = |row: &Row| Wait {
        kind: row.get(0),
        pid: row.get(1),
        role: row.get(2),
        application: row.get(3),
        waited_s: row.get(4),
        revocations: row.get(5),
    };
    Ok(rows.iter().map(wait).collect())
}
