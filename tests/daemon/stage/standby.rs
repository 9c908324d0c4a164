//! What happens to a standby: it has all that its primary wrote, and it takes over.

use tokio_postgres::Client;

use crate::stage::wait_until;

/// Replication is asynchronous; what has not arrived is lost with the primary, whatever the daemon does.
pub async fn replicated(primary: &Client, standby: &Client) {
    let position: String = primary
        .query_one("select pg_current_wal_insert_lsn()::text", &[])
        .await
        .unwrap()
        .get(0);
    // Something has to be flushed behind it, or nobody sends it.
    primary
        .batch_execute("select pg_switch_wal()")
        .await
        .unwrap();
    wait_until("the standby has it all", || async {
        standby
            .query_one(
                "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn",
                &[&position],
            )
            .await
            .unwrap()
            .get(0)
    })
    .await;
}

pub async fn promote(standby: &Client) {
    let promoted: bool = standby
        .query_one("select pg_promote()", &[])
        .await
        .unwrap()
        .get(0);
    assert!(promoted);
}
