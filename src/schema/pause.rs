//! Steps back while the site migrates: none of our objects depends on any of the site's columns, and nothing is ended
//! or purged, but changes of passwords are still noted (P3).
//!
//! The order: first comes the row that daemons look for. Then each trigger gives way to one that names no column, under
//! the same name and in one statement, so that no change falls between the two. Then the view and the foreign keys go.
//! Tried: with the foreign keys left in place, the site's plain `DROP TABLE` and every `TRUNCATE` are refused, a
//! renamed table keeps its links, and a key can change its size but not its kind.

use tokio_postgres::Client;

use super::{
    Error, Site, act, check, lock,
    objects::{
        foreign_keys, preconditions, replacement,
        triggers::{self, detach_others},
    },
    state::{self, Pause, current_pause},
    turn::lock,
};
use crate::{connection::Target, settings};

/// Begins a pause, or goes on with one whose beginning was interrupted; returns whether it was on already.
///
/// # Errors
/// A missing installation, a missing right, a lock that cannot be had. What was done before the error stays and is not
/// done again.
pub async fn pause(target: &Target, settings: &settings::Site) -> Result<(Pause, bool), Error> {
    act::on(target, async |client| pause_on(client, settings).await).await
}

async fn pause_on(client: &mut Client, settings: &settings::Site) -> Result<(Pause, bool), Error> {
    state::server(client).await?;
    lock(client).await?;
    state::installed(client).await?;
    // The site may be in the middle of its migration, so nothing is looked at.
    if let Some(pause) = current_pause(client).await?.filter(|pause| pause.complete) {
        return Ok((pause, true));
    }
    let site = Site::inspect(client, settings).await?;
    check::same_site(client, &site).await?;
    preconditions::require(client, &site).await?;
    // What resume would refuse is refused now: a site that stays paused is open.
    let settings = check::with_installed_roles(client, settings).await?;
    check::forgets_nothing(client, &settings).await?;
    preconditions::roles_exist(client, &settings).await?;
    replacement::drop_left_overs(client).await?;
    step_back(client, &site).await?;
    let pause = current_pause(client).await?.ok_or(Error::NotInstalled)?;
    Ok((pause, false))
}

/// Takes off what depends on the site's columns. Each step can be repeated.
pub(super) async fn step_back(client: &mut Client, site: &Site) -> Result<(), Error> {
    client
        .execute(
            "-- schema::pause::step_back
            insert into session_reaper.pause (noted) values ($1) on conflict do nothing",
            &[&is_noted(client, site).await?],
        )
        .await?;
    detach_others(client, site).await?;
    for trigger in triggers::wanted(site) {
        match trigger.during_pause() {
            Some(stand_in) => _ = stand_in.ensure(client).await?,
            None => trigger.drop(client).await?,
        }
    }
    drop_view(client, site).await?;
    foreign_keys::drop(client, site).await?;
    client
        .batch_execute("update session_reaper.pause set complete = true")
        .await?;
    Ok(())
}

/// Whether writes of sessions have been noted until now: a migration without a pause may have taken the triggers along.
async fn is_noted(client: &Client, site: &Site) -> Result<bool, Error> {
    for trigger in triggers::wanted(site) {
        if trigger.reads && !trigger.is_attached(client).await? {
            return Ok(false);
        }
    }
    Ok(site.user_source.is_in_session())
}

/// The rights to look at the view go with it, so they are saved.
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
    lock::execute(client, &[site.sessions.oid], what, statements).await
}
