//! Comes back after the site has migrated: everything is looked up anew, our keys get the types that the site's have
//! now, and what stepped back is put back. Each step can be repeated, so an interrupted one is simply run again; the
//! row that says "paused" goes last.

use tokio_postgres::Client;

use super::{
    Error, Installed, Site, act, check, lock,
    migrate::{install, prepare},
    newest_version,
    objects::{key_types, preconditions, retype, triggers},
    pause::step_back,
    shape,
    site::template::quote_identifier,
    state::{self, Pause, current_pause},
    turn::lock,
    unlinked,
};
use crate::{connection::Target, settings};

/// What `resume` did.
#[derive(Debug, Default)]
pub struct Resumed {
    /// The pause that it ended; none if there was none.
    pub pause: Option<Pause>,
    /// Our keys that got another type.
    pub keys: Vec<String>,
    /// Links that were dropped, because their session is gone.
    pub without_session: u64,
    /// Links that were dropped, because their user is gone.
    pub without_user: u64,
    /// Tables that were without our triggers, so that changes there are unknown.
    pub unwatched: Vec<String>,
    /// Everything that was put back.
    pub installed: Installed,
    /// Requests that were left out, because what they name cannot be a user's key now.
    pub without_key: i64,
    /// Revocations that waited and are worked on now.
    pub waited: i64,
    /// Sessions that are linked to no user.
    pub unlinked: i64,
}

/// Ends a pause; without one, mends what one of the site's migrations has harmed.
///
/// # Errors
/// A missing installation, a site that does not fit the settings, a key that became of another kind, a missing right, a
/// lock that cannot be had. What was done before the error stays, and so does the pause.
pub async fn resume(target: &Target, settings: &settings::Site) -> Result<Resumed, Error> {
    act::on(target, async |client| resume_on(client, settings).await).await
}

async fn resume_on(client: &mut Client, settings: &settings::Site) -> Result<Resumed, Error> {
    state::server(client).await?;
    lock(client).await?;
    if state::installed_version(client).await?.is_none() {
        return Err(Error::NotInstalled);
    }
    state::not_newer(client).await?;
    let site = Site::inspect(client, settings).await?;
    check::same_site(client, &site).await?;
    let settings = &check::with_installed_roles(client, settings).await?;
    check::forgets_nothing(client, settings).await?;
    preconditions::roles_exist(client, settings).await?;
    prepare(client, &site).await?;
    let migrations = shape::apply(client, &site, newest_version()).await?;
    let mut resumed = Resumed {
        pause: current_pause(client).await?,
        ..Resumed::default()
    };
    if resumed.pause.as_ref().is_none_or(|pause| pause.complete) {
        resumed.unwatched = unwatched(client, &site).await?;
    }
    if !key_types::misfits(client, &site).await?.is_empty() {
        // Where there is no pause: the foreign keys must not check a key that is about to change its type.
        step_back(client, &site).await?;
    }
    (resumed.without_session, resumed.without_user) = drop_links(client, &site).await?;
    resumed.keys = retype::adapt(client, &site).await?;
    retype::adapt_persistence(client, &site).await?;
    resumed.installed = install(client, &site, settings).await?;
    resumed.installed.migrations = migrations;
    let readers = let_readers(client).await?;
    tracing::debug!(readers, "may look at live_session again");
    // What was written during the pause has not been noted. Where the daemon reads sessions, attaching its triggers has
    // all of them read again.
    resumed.unlinked = unlinked::count(client, &site).await?;
    resumed.without_key = without_key(client).await?;
    end(client).await?;
    resumed.waited = waiting(client).await?;
    Ok(resumed)
}

/// The site's tables on which a trigger that ends sessions is missing: a table that was created anew has lost it.
async fn unwatched(client: &Client, site: &Site) -> Result<Vec<String>, Error> {
    let mut tables = Vec::new();
    for trigger in triggers::wanted(site) {
        let Some(stand_in) = trigger.during_pause() else {
            continue;
        };
        // An interrupted resume may have put it back.
        let stands = stand_in.is_attached(client).await? || trigger.is_attached(client).await?;
        let table = trigger.table.to_string();
        if !stands && trigger.table != &site.sessions && !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// Compared as text, since the types may not be comparable before they are adapted.
async fn drop_links(client: &Client, site: &Site) -> Result<(u64, u64), Error> {
    let drop = |ours, table: String, key: &str| {
        format!(
            "-- schema::resume::drop_links
            delete from session_reaper.user_session l
            where not exists (select from {table} t where t.{key}::text = l.{ours}::text)",
            key = quote_identifier(key),
        )
    };
    let of_sessions = drop(
        "session_key",
        site.sessions.quoted(),
        &site.session_key.name,
    );
    let of_users = drop("user_id", site.users.quoted(), &site.user_key.name);
    client.batch_execute("set lock_timeout = '3s'").await?;
    Ok((
        client.execute(&of_sessions, &[]).await?,
        client.execute(&of_users, &[]).await?,
    ))
}

/// Roles that could look at the view before may do so again; a role that is gone does not count.
async fn let_readers(client: &Client) -> Result<usize, Error> {
    let rows = client
        .query(
            "-- schema::resume::let_readers
            select pg_catalog.quote_ident(r.rolname)
            from session_reaper.pause p
            join pg_catalog.pg_roles r on r.rolname = any (p.readers)",
            &[],
        )
        .await?;
    for row in &rows {
        let role: &str = row.get(0);
        client
            .batch_execute(&format!(
                "grant select on session_reaper.live_session to {role}"
            ))
            .await?;
    }
    Ok(rows.len())
}

/// How many of the requests that wait as text belong to no user: a key whose type has grown and shrunk again, or a
/// column beside the users with something else in it.
async fn without_key(client: &Client) -> Result<i64, Error> {
    let row = client
        .query_one(
            "-- schema::resume::without_key
            select count(*)
            from session_reaper.paused_request r
            where session_reaper.user_key_of(r.user_key) is null",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// What waited as text fits now. What does not fit holds up neither the rest nor the end of the pause (P8). Daemons
/// look at once, and do not wait for their next poll.
async fn end(client: &Client) -> Result<(), Error> {
    let statements = "insert into session_reaper.revocation (change_id, scope, user_id, reason, policy, keep_digest, place)
            select r.change_id, 'user', k.user_id, r.reason, r.policy, r.keep_digest,
                (row_number() over (partition by r.change_id order by r.id) - 1) / 50
            from session_reaper.paused_request r
            cross join lateral session_reaper.user_key_of(r.user_key) k (user_id)
            where k.user_id is not null
            order by r.id;
        delete from session_reaper.paused_request;
        delete from session_reaper.pause;
        select session_reaper.announce()";
    lock::execute(client, &[], "session_reaper.pause", statements).await
}

async fn waiting(client: &Client) -> Result<i64, Error> {
    let row = client
        .query_one(
            "-- schema::resume::waiting
            select count(*) from session_reaper.revocation r where r.state <> 'settled'",
            &[],
        )
        .await?;
    Ok(row.get(0))
}
