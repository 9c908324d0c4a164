//! The way to the database, and who takes it.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Opinion, Patient, fail, ok, warn};
use crate::{
    connection::Error,
    revoke::channel::{
        Listening,
        heard::Heard,
        token::{Sent, send_token},
    },
};

/// How long a notification may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn encryption(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::connection::encryption
            select coalesce(s.ssl, false), s.version, coalesce(host(inet_client_addr()), ''),
                coalesce(inet_client_addr() <<= '127.0.0.0/8' or inet_client_addr() <<= '::1/128', true)
            from (select pg_backend_pid() as pid) b
            left join pg_catalog.pg_stat_ssl s on s.pid = b.pid",
            &[],
        )
        .await?;
    let (encrypted, version): (bool, Option<String>) = (row.get(0), row.get(1));
    let (address, is_local): (String, bool) = (row.get(2), row.get(3));
    if encrypted {
        ok(format!("{} from {address}", version.unwrap_or_default()))
    } else if is_local {
        ok("not encrypted, and the server is on this machine")
    } else {
        warn(
            "encryption.none",
            "",
            format!(
                "not encrypted, though it comes from {address}: sessions' owners can be read on the way; set sslmode=verify-full in the connection string"
            ),
        )
    }
}

pub(super) async fn role(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let row = patient
        .client
        .query_one(
            "-- doctor::connection::role
            select current_user::text, current_setting('is_superuser')::boolean",
            &[],
        )
        .await?;
    let role: String = row.get(0);
    if row.get(1) {
        warn(
            "role.superuser",
            "session-reaper migrate --create-role NAME",
            format!(
                "{role} is a superuser, and the daemon needs none: create a role without rights, name it as site.daemon_role, and run `session-reaper migrate` as the owner"
            ),
        )
    } else {
        ok(format!("{role} is no superuser"))
    }
}

/// Only a notification that was sent by another connection shows a pooler in transaction mode: every check on the
/// same one is fooled.
pub(super) async fn notifications(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let mut listening = Listening::open(patient.target, PATIENCE).await?;
    let begun = Instant::now();
    let token = format!("doctor-{:016x}", fastrand::u64(..));
    let sent = timeout(PATIENCE, async {
        listening.round_trip().await?;
        send_token(patient.client, &token, None).await
    })
    .await
    .map_err(|_| Error::HeartbeatLost)??;
    if sent == Sent::NoRoom {
        return warn(
            "queue.full",
            "",
            "were not tried, because the server's notification queue runs full: find the session that listens and does not read, and end it",
        );
    }
    loop {
        match listening.next(begun + PATIENCE).await? {
            Heard::Heartbeat(heard) if heard == token => {
                let took = begun.elapsed().as_secs_f64() * 1000.0;
                return ok(format!("arrive, after {took:.1} ms"));
            }
            Heard::Nothing => {
                listening.stop_listening(PATIENCE).await?;
                return fail(
                    "notifications.not_delivered",
                    "",
                    Error::NotDelivered.to_string(),
                );
            }
            _ => {}
        }
    }
}
