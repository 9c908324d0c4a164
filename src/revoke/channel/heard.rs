//! What arrives on a listening connection, sorted, and no longer than what we send.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Connection, Notification};

use super::HEARTBEAT_CHANNEL;

/// No user's key is longer. Any role that may connect can send 8,000 bytes at a time, and what waits is kept in memory.
const LONGEST_REQUEST: usize = 1000;

/// Longer than the tokens of heartbeats and of `doctor`.
const LONGEST_TOKEN: usize = 40;

/// What has arrived.
pub enum Heard {
    /// Nothing until the deadline.
    Nothing,
    /// A heartbeat's token.
    Heartbeat(String),
    /// There is something to look at.
    Change,
    /// A request by hand.
    Request(String),
    /// A request by hand that is longer than any user's key.
    TooLong,
}

fn sort(notification: &Notification) -> Heard {
    let payload = notification.payload();
    if notification.channel() == HEARTBEAT_CHANNEL {
        // A longer one is not a token of ours.
        Heard::Heartbeat(payload.chars().take(LONGEST_TOKEN).collect())
    } else if payload.is_empty() {
        Heard::Change
    } else if payload.len() > LONGEST_REQUEST {
        Heard::TooLong
    } else {
        Heard::Request(payload.to_owned())
    }
}

/// Notifications come out of `poll_message` only; awaiting the connection would throw them away.
pub(super) async fn drive<S, T>(
    mut connection: Connection<S, T>,
    sender: mpsc::Sender<Heard>,
) -> Option<tokio_postgres::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio_postgres::tls::TlsStream + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                let _ = sender.try_send(sort(&notification));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(error),
            None => return None,
        }
    }
}
