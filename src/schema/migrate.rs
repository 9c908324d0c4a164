//! Installs and updates on a live site. It does so under one advisory lock, because refinery takes none, and if four
//! started together, three would fail. It uses small transactions that give up quickly on a lock and try again, because
//! a transaction that waits for a lock on the user table makes every login wait behind it.

use tokio_postgres::Client;

use super::{
    Error, Site, act, adopt_ids, check,
    objects::{foreign_keys, functions, key_types, preconditions, replacement, rights, triggers},
    shape::{self, newest_version},
    site::{catalog, expiry},
    state,
    turn::lock,
    unlinked,
};
use crate::{connection::Target, settings};

/// What `migrate` did.
#[derive(Debug, Default)]
pub struct Installed {
    /// Migrations that were applied, as `V1__name`.
    pub migrations: Vec<String>,
    /// Foreign keys that were created anew, because one of the site's tables had been.
    pub references: Vec<String>,
    /// Files of `sql/` that were applied.
    pub behaviour: Vec<&'static str>,
    /// Triggers that were attached, with their tables.
    pub triggers: Vec<String>,
    /// When sessions expire, in words: a preset may know a lifetime that the app has changed.
    /// None if the purge works as before.
    pub expiry: Option<String>,
    /// Triggers that were taken off, because the settings no longer ask for them.
    pub detached: Vec<String>,
    /// Sessions that wait to be read for their users, which a revocation may miss until then.
    pub unlinked: i64,
}

/// Installs what is missing and updates what differs. Doing it twice does nothing the second time.
///
/// # Errors
/// A setting that names no table, a server that is too old or read-only, a missing right, a lock that cannot be had:
/// each is a sentence. What was done before the error stays and is not done again.
pub async fn migrate(target: &Target, settings: &settings::Site) -> Result<Installed, Error> {
    migrate_to(target, settings, newest_version()).await
}

/// Like [`migrate`], but stops at an earlier version of the shape: for tests of upgrades.
#[doc(hidden)]
pub async fn migrate_to(
    target: &Target,
    settings: &settings::Site,
    version: i32,
) -> Result<Installed, Error> {
    act::on(target, async |client| {
        migrate_on(client, settings, version).await
    })
    .await
}

async fn migrate_on(
    client: &mut Client,
    settings: &settings::Site,
    version: i32,
) -> Result<Installed, Error> {
    state::server(client).await?;
    lock(client).await?;
    state::not_newer(client).await?;
    if let Some(pause) = state::current_pause(client).await? {
        return Err(pause.refuse());
    }
    let site = Site::inspect(client, settings).await?;
    check::same_site(client, &site).await?;
    check::forgets_nothing(client, settings).await?;
    preconditions::roles_exist(client, settings).await?;
    prepare(client, &site).await?;
    if state::has_table(client, "session_reaper.user_session").await?
        && let Some(misfit) = key_types::misfits(client, &site).await?.first()
    {
        return Err(misfit.complain());
    }
    let migrations = shape::apply(client, &site, version).await?;
    let installed = if version < newest_version() {
        // Functions and triggers belong to the newest shape.
        Installed::default()
    } else {
        install(client, &site, settings).await?
    };
    Ok(Installed {
        migrations,
        ..installed
    })
}

/// Refuses a role that could not finish the job, and takes away what an interrupted `link` may have left.
pub(super) async fn prepare(client: &Client, site: &Site) -> Result<(), Error> {
    preconditions::require(client, site).await?;
    replacement::drop_left_overs(client).await?;
    // The functions run as the role that migrates.
    for table in [&site.sessions, &site.users] {
        catalog::require_no_row_security(client, table).await?;
    }
    check::plausible_expiry(client, site).await
}

/// Everything but the shape: foreign keys, functions, triggers, rights.
pub(super) async fn install(
    client: &mut Client,
    site: &Site,
    settings: &settings::Site,
) -> Result<Installed, Error> {
    let mut installed = Installed {
        references: foreign_keys::mend(client, site).await?,
        ..Installed::default()
    };
    client.batch_execute("set lock_timeout = '3s'").await?;
    functions::remember(client, "site", &check::site_digest(site)).await?;
    installed.behaviour = functions::apply(client, site).await?;
    adopt_ids(client).await?;
    if installed.behaviour.contains(&"purge") {
        installed.expiry = Some(expiry::in_words(site.expires.as_ref()));
    }
    functions::remember(client, "expiry", &check::expiry_digest(site)).await?;
    installed.detached = triggers::detach_others(client, site).await?;
    for trigger in triggers::wanted(site) {
        if trigger.ensure(client).await? {
            installed
                .triggers
                .push(format!("{} on {}", trigger.name, trigger.table));
        }
    }
    if !site.user_source.is_in_session() {
        client
            .batch_execute("select session_reaper.stop_linking()")
            .await?;
    }
    if !site.is_cached {
        client
            .batch_execute("select session_reaper.stop_evicting()")
            .await?;
    }
    rights::grant(client, site, settings).await?;
    installed.unlinked = unlinked::waiting(client, site).await?;
    Ok(installed)
}
