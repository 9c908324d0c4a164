//! A user whose sessions have been ended thousands of times, as by a button that somebody keeps pressing.

use tokio_postgres::{Client, Error};

use crate::{
    ledger::{Cause, Change},
    world::World,
};

/// Ends the sessions of the first user so often before anybody is there, each time in a transaction of its own.
pub async fn fill(world: &World, client: &Client) -> Result<(), Error> {
    let Some(user) = world.favourite() else {
        return Ok(());
    };
    let numbers: Vec<i64> = (0..world.options.histories)
        .map(|_| world.next_number())
        .collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Ok(());
    };
    let sent = world.ledger.now();
    let press = format!(
        "do $$ begin
            for number in {first}..{last} loop
                perform session_reaper.revoke_user({user}, 'requested');
                insert into history_marker (id) values (number);
                commit;
            end loop;
        end $$"
    );
    client.batch_execute(&press).await?;
    let marked = "select id, xid from history_marker where id between $1 and $2";
    let published = world.ledger.now();
    for row in client.query(marked, &[first, last]).await? {
        world.ledger.books().add_change(Change {
            user: Some(user),
            transaction: row.get(0),
            xid: row.get(1),
            kind: "pressed again and again".to_owned(),
            cause: Cause::Requested,
            stamp_from: sent,
            publish_sent: sent,
            published,
            keep: None,
        });
    }
    Ok(())
}
