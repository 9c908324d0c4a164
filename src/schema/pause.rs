//! Stepping back while the site migrates: nothing of ours depends on a column of the site's any more, and nothing is
//! ended or purged, but changes of passwords are noted as ever (P3).
//!
//! In the order in which it is done: the row that daemons look for, then each trigger gives way to one that names no
//! column, under the same name and in one statement, so that no change falls between the two; then the view and the
//! foreign keys go. Tried: with the foreign keys left in place, a plain `DROP TABLE` and every `TRUNCATE` of the
//! site's are refused, a table that is renamed keeps its links, and a key can change its size but not its kind.

use tokio_postgres::{Client, GenericClient};

use super::{
    Error, Site, built, check, patience, references, rights, triggers, triggers::detach_others,
    turn::lock,
};
use crate::{
    connection::{self, Target},
    settings,
};

/// Since when the site migrates, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// Time in UTC, as ISO 8601 has it.
    pub since: String,
    /// The role.
    pub by: String,
    /// False while it is still being begun.
    #[serde(skip)]
    pub(super) complete: bool,
}

impl Pause {
    pub(super) fn refuse(self) -> Error {
        let Self { since, by, .. } = self;
        Error::Paused { since, by }
    }
}

/// The pause that is on, if one is.
///
/// # Errors
/// When the database cannot be reached or refuses the statement.
pub async fn current(client: &impl GenericClient) -> Result<Option<Pause>, connection::Error> {
    if !check::has_table(client, "session_reaper.pause").await? {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "-- schema::pause::current
            select to_char(p.since at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), p.paused_by::text, p.complete
            from session_reaper.pause p",
            &[],
        )
        .await?;
    Ok(row.map(|row| Pause {
        since: row.get(0),
        by: row.get(1),
        complete: row.get(2),
    }))
}

/// Begins a pause, or goes on with one whose beginning was interrupted; says whether it was on already.
///
/// # Errors
/// What is not installed, a missing right, a lock that is not to be had. What was done before the error stays and is
/// not done again.
pub async fn pause(target: &Target, settings: &settings::Site) -> Result<(Pause, bool), Error> {
    let (mut client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let result = pause_on(&mut client, settings).await;
    // Dropping the client ends the connection, and with it the advisory lock.
    drop(client);
    let _ = driver.await;
    result
}

async fn pause_on(client: &mut Client, settings: &settings::Site) -> Result<(Pause, bool), Error> {
    check::server(client).await?;
    lock(client).await?;
    check::installed(client).await?;
    // The site may be in the middle of its migration, so nothing is looked at.
    if let Some(pause) = current(client).await?.filter(|pause| pause.complete) {
        return Ok((pause, true));
    }
    let site = Site::inspect(client, settings).await?;
    check::same_site(client, &site).await?;
    rights::check(client, &site).await?;
    built::drop_left_overs(client).await?;
    step_back(client, &site).await?;
    let pause = current(client).await?.ok_or(Error::NotInstalled)?;
    Ok((pause, false))
}

/// Takes off what depends on the site's columns. Each step can be repeated.
pub(super) async fn step_back(client: &mut Client, site: &Site) -> Result<(), Error> {
    client
        .batch_execute("insert into session_reaper.pause default values on conflict do nothing")
        .await?;
    detach_others(client, site).await?;
    for trigger in triggers::wanted(site) {
        match trigger.during_pause() {
            Some(stand_in) => _ = stand_in.ensure(client).await?,
            None => trigger.drop(client).await?,
        }
    }
    drop_view(client, site).await?;
    references::drop(client, site).await?;
    client
        .batch_execute("update session_reaper.pause set complete = true")
        .await?;
    Ok(())
}

/// With the view go the rights to look at it, so they are kept.
async fn drop_view(client: &Client, site: &Site) -> Result<(), Error> {
    let statements = "
        update session_reaper.pause p
        set readers = array(
            select distinct r.rolname
            from pg_catalog.pg_class c
            cross join lateral pg_catalog.aclexplode(c.relacl) a
            join pg_catalog.pg_roles r on r.oid = a.grantee
            where c.oid = pg_catalog.to_regclass('session_reaper.live_session') and r.oid <> c.relowner)
        where pg_catalog.to_regclass('session_reaper.live_session') is not null;
        drop view if exists session_reaper.live_session;
        delete from session_reaper.behaviour where name = 'live_session'";
    let what = "session_reaper.live_session";
    patience::execute(client, &[site.sessions.oid], what, statements).await
}
