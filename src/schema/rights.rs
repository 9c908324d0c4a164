//! Who may do what. Nothing is granted to everybody: a role that can read `revoked_key` or
//! `user_session` holds bearer credentials (P7), and one that can mark revocations counts as a daemon (P4).

use tokio_postgres::Client;

use super::{Error, Site, template::quote_identifier};
use crate::settings;

/// For functions that only our own functions and the daemon call.
const INTERNAL: &str = "
    revoke all on all functions in schema session_reaper from public;
    revoke all on all tables in schema session_reaper from public";

/// Grants the daemon and the app what the settings ask for, and takes everything else from PUBLIC.
pub async fn grant(
    client: &mut Client,
    site: &Site,
    settings: &settings::Site,
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(INTERNAL).await?;
    if let Some(role) = &settings.daemon_role {
        transaction
            .batch_execute(&for_daemon(&quote_identifier(role), site))
            .await?;
    }
    for role in &settings.app_roles {
        transaction
            .batch_execute(&for_app(&quote_identifier(role)))
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Sessions are deleted by functions that run as their owner, but the purger deletes by itself: it needs no
/// more than the key and the expiry. "for update" asks for the right to update one column.
fn for_daemon(role: &str, site: &Site) -> String {
    format!(
        "grant usage on schema session_reaper to {role};
        grant select, insert, update, delete on all tables in schema session_reaper to {role};
        grant execute on all functions in schema session_reaper to {role};
        grant usage on schema {schema} to {role};
        grant select ({key}, {expires}), update ({key}), delete on {sessions} to {role}",
        schema = quote_identifier(&site.sessions.schema),
        key = quote_identifier(&site.session_key.name),
        expires = quote_identifier(&site.expires.name),
        sessions = site.sessions.quoted(),
    )
}

/// An app may link, ask for revocations and read its own links; never the keys that wait to be ended.
fn for_app(role: &str) -> String {
    format!(
        "grant usage on schema session_reaper to {role};
        grant select, insert (session_key, user_id, credential_version), update (user_id, credential_version), delete
            on session_reaper.user_session to {role};
        grant select on session_reaper.live_session to {role};
        grant execute on function session_reaper.link_session, session_reaper.credential_version,
            session_reaper.revoke_user, session_reaper.revoke_session, session_reaper.revoke_all,
            session_reaper.is_served to {role}"
    )
}
