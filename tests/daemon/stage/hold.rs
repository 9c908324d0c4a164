//! A batch that can be held in the middle.

use crate::stage::{Database, wait_until};

/// Deleting a session waits as long as the table `hold` has a row, so that a test can do something in the
/// middle of a batch.
pub async fn make_deleting_slow(database: &Database) {
    database
        .batch_execute(
            "create table hold (); insert into hold default values;
            create function wait() returns trigger language plpgsql volatile as $$
            begin
                while exists (select from public.hold) loop
                    perform pg_catalog.pg_sleep(0.01);
                end loop;
                return old;
            end $$;
            create trigger wait before delete on django_session for each row execute function wait()",
        )
        .await
        .unwrap();
}

/// Waits until the daemon is in the middle of one.
pub async fn wait_for_a_batch_in_hand(database: &Database) {
    wait_until("a batch is in hand", || async {
        database
            .number(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and application_name = 'session-reaper'
                   and wait_event = 'PgSleep'",
            )
            .await
            > 0
    })
    .await;
}
