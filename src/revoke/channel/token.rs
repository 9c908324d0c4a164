//! A token that has to come back through a listening connection.

use tokio_postgres::Client;

use crate::{connection::Error, revoke::channel::HEARTBEAT_CHANNEL};

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has to arrive.
    OnItsWay(Option<Quiet>),
    /// It was not sent, because nothing was written since the last token that was sent: even if the connection has gone
    /// deaf since, it has missed nothing. Sending it would take a transaction id and write to the WAL, which an idle
    /// server should not do.
    Needless,
    /// The server's notification queue is running full, because some session listens and does not read. Another
    /// notification would fail, and that would tell nothing about this connection.
    NoRoom,
}

/// The transaction id that follows the token's own, if no other transaction was writing when the token was sent. While it
/// is still the next one, nothing has been written since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet(String);

/// Notifies the heartbeat's channel, unless that could fail for a full queue, or all has been quiet since the last
/// time.
///
/// # Errors
/// That the server takes no writes: it was demoted, or is about to be, and a daemon that only listens there does not
/// serve. Or that the database cannot be reached.
pub async fn send_token(
    client: &Client,
    token: &str,
    quiet: Option<&Quiet>,
) -> Result<Sent, Error> {
    let row = client
        .query_one(
            "-- revoke::channel::token::send_token
            select r.is_read_only, r.has_room, r.is_quiet,
                case when r.has_room and not r.is_read_only and not r.is_quiet then pg_notify($1, $2) end,
                case when r.has_room and not r.is_read_only and not r.is_quiet and r.all_ended and pg_current_xact_id() = r.next_id
                    then (pg_current_xact_id()::text::bigint + 1)::text end
            from (
                select current_setting('transaction_read_only')::boolean as is_read_only,
                    pg_notification_queue_usage() < 0.5 as has_room,
                    pg_snapshot_xmin(s.seen) = pg_snapshot_xmax(s.seen) as all_ended,
                    pg_snapshot_xmax(s.seen) as next_id,
                    coalesce(pg_snapshot_xmax(s.seen)::text = $3::text, false) as is_quiet
                from (select pg_current_snapshot() as seen) s
            ) r",
            &[
                &HEARTBEAT_CHANNEL,
                &token,
                &quiet.map(|quiet| quiet.0.as_str()),
            ],
        )
        .await?;
    match (row.get(0), row.get(1), row.get(2)) {
        (true, _, _) => Err(Error::read_only()),
        (false, _, true) => Ok(Sent::Needless),
        (false, true, false) => Ok(Sent::OnItsWay(row.get::<_, Option<String>>(4).map(Quiet))),
        (false, false, false) => Ok(Sent::NoRoom),
    }
}
