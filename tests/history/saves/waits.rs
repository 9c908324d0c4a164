//! Which clients wait for a lock of a daemon's, and for how long, as the server itself tells.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::world::World;

/// Who waits now for somebody who is called session-reaper, since when, and how many milliseconds that is.
const LOOK: &str = "
    select w.pid, w.waitstart::text,
        (extract(epoch from clock_timestamp() - w.waitstart) * 1000)::double precision
    from pg_locks w
    join pg_stat_activity a on a.pid = w.pid
    where not w.granted
      and w.waitstart is not null
      and a.application_name <> 'session-reaper'
      and exists (
        select
        from unnest(pg_blocking_pids(w.pid)) as b (pid)
        join pg_stat_activity d on d.pid = b.pid
        where d.application_name = 'session-reaper')";

/// The milliseconds of every wait that was seen. One that is shorter than the time between two looks may be missed.
pub(super) async fn watch(world: Arc<World>) -> Vec<f64> {
    let client = world.connect().await;
    let mut waits: HashMap<(i32, String), f64> = HashMap::new();
    while !world.is_stopping() {
        for row in client.query(LOOK, &[]).await.unwrap() {
            waits.insert((row.get(0), row.get(1)), row.get(2));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    waits.into_values().collect()
}
