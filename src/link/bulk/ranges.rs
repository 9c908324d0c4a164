//! Reads the session table in the order in which it is stored.

use deadpool_postgres::Transaction;
use tokio_postgres::IsolationLevel;

use super::Building;
use crate::{
    codec::Found,
    connection,
    link::rows::{each, look},
};

impl<F: Fn(u64)> Building<'_, F> {
    /// Reads one range after another, as the other connections do, until none is left.
    pub(super) async fn read_ranges(
        &self,
        snapshot: &str,
        all: i64,
    ) -> Result<(), connection::Error> {
        let mut client = self.database.hold().await?;
        let begin = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead);
        let database = &self.database;
        let transaction = database.within(async { Ok(begin.start().await?) }).await?;
        // Whole tables are looked through here, and a range is too small to share out.
        let settings = format!(
            "set transaction snapshot '{snapshot}';
            set local enable_seqscan = on;
            set local enable_mergejoin = off;
            set local max_parallel_workers_per_gather = 0"
        );
        let set = async { Ok(transaction.batch_execute(&settings).await?) };
        database.within(set).await?;
        while let Some((from, to)) = self.next_range(all) {
            let read = self.read_range(&transaction, from, to);
            database.within(read).await?;
        }
        database
            .within(async { Ok(transaction.commit().await?) })
            .await
    }

    fn next_range(&self, all: i64) -> Option<(String, String)> {
        let from = self.next.get();
        if self.stop.is_stopped() || from >= all {
            return None;
        }
        let to = from + self.blocks.in_range;
        self.next.set(to);
        Some((format!("({from},0)"), format!("({to},0)")))
    }

    /// Both statements see the same rows in the same order, so that a row's position identifies it: keys never leave
    /// the database (P7).
    async fn read_range(
        &self,
        transaction: &Transaction<'_>,
        from: String,
        to: String,
    ) -> Result<(), connection::Error> {
        let (mut read, mut places, mut users) = (0, Vec::<i64>::new(), Vec::<Vec<u8>>::new());
        let statement = self.site.render(UNLINKED);
        each(transaction, &statement, &[&from, &to], |row| {
            read += 1;
            let find_user = |data: &[u8]| self.site.user_source.find_user(data);
            if let Some(Found::User(user)) = look(row, 1, 2, find_user) {
                places.push(row.get(0));
                users.push(user.into_bytes());
            }
        })
        .await?;
        let statement = self.site.render(LINK);
        transaction
            .execute(&statement, &[&from, &to, &places, &users])
            .await?;
        (self.has_read)(read);
        Ok(())
    }
}

const UNLINKED: &str = "-- link::bulk::ranges::unlinked
    with queued as materialized (
        select u.session_key
        from session_reaper.drain q
        cross join lateral session_reaper.pending_since(q.drained_to) u
    )
    select s.place, d.data, d.is_refused
    from (
        select n.*, pg_catalog.row_number() over () as place
        from :\"session_schema\".:\"session_table\" n
        where n.ctid >= $1::text::tid and n.ctid < $2::text::tid
    ) s
    cross join lateral session_reaper.data_of(:raw_data) d
    where not exists (select from session_reaper.user_session l where l.session_key = s.:\"session_key\")
      and not exists (select from queued q where q.session_key = s.:\"session_key\")";

/// Data in which no user can be found, and users who do not exist, are not reported here: the pages, which come by once
/// more, count these.
const LINK: &str = "-- link::bulk::ranges::link
    insert into session_reaper.user_session_built (session_key, user_id, xid, begun_at, snapshot, from_data)
    select s.session_key, f.user_id, '0', a.begun_at, a.snapshot, true
    from rows from (pg_catalog.unnest($3::bigint[]), pg_catalog.unnest(session_reaper.as_user_keys($4)))
        as f (place, user_id)
    join (
        select n.:\"session_key\" as session_key, pg_catalog.row_number() over () as place
        from :\"session_schema\".:\"session_table\" n
        where n.ctid >= $1::text::tid and n.ctid < $2::text::tid
    ) s on s.place = f.place
    cross join session_reaper.least_age() a
    where f.user_id is not null";
