//! Installing and bringing up to date, on a live site: under one advisory lock, because refinery takes none
//! and four that start together would fail three; and in small transactions that give up quickly on a lock
//! and try again, because whoever waits for one on the user table makes every login wait behind it.

use tokio_postgres::Client;

use super::{
    Error, Site, behaviour, built, catalog, check, expiry, keys,
    patience::{LOCK_TRIES, retry_or_fail, wait_for_turn},
    pause, references, rights,
    template::quote_literal,
    triggers,
    turn::lock,
    unlinked,
};
use crate::{connection::Target, settings};

mod embedded {
    refinery::embed_migrations!("migrations");
}

const HISTORY: &str = "session_reaper.schema_history";

/// What `migrate` did.
#[derive(Debug, Default)]
pub struct Installed {
    /// Migrations that were applied, as `V1__name`.
    pub migrations: Vec<String>,
    /// Foreign keys that were made anew, because a table of the site had been.
    pub references: Vec<String>,
    /// Files of `sql/` that were applied.
    pub behaviour: Vec<&'static str>,
    /// Triggers that were attached, with their tables.
    pub triggers: Vec<String>,
    /// When sessions expire, in words: a preset may know a lifetime that the app has changed.
    /// None if the purge works as before.
    pub expiry: Option<String>,
    /// Triggers that were taken off, because the settings ask for them no more.
    pub detached: Vec<String>,
    /// Sessions that wait to be read for their users, which a revocation may miss until then.
    pub unread: i64,
}

/// The version that this release's migrations lead to.
pub fn newest_version() -> i32 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| migration.version())
        .max()
        .unwrap_or_default()
}

/// Installs what is missing and updates what differs. Doing it twice does nothing the second time.
///
/// # Errors
/// A setting that names no table, a server that is too old or read-only, a missing right, a lock that is
/// not to be had: each is a sentence. What was done before the error stays and is not done again.
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
    let (mut client, connection) = target.connect().await?;
    let driver = tokio::spawn(connection);
    let result = migrate_on(&mut client, settings, version).await;
    // Dropping the client ends the connection, and with it the advisory lock.
    drop(client);
    let _ = driver.await;
    result
}

async fn migrate_on(
    client: &mut Client,
    settings: &settings::Site,
    version: i32,
) -> Result<Installed, Error> {
    check::server(client).await?;
    lock(client).await?;
    check::not_newer(client).await?;
    if let Some(pause) = pause::current(client).await? {
        return Err(pause.refuse());
    }
    let site = Site::inspect(client, settings).await?;
    check::same_site(client, &site).await?;
    check::forgets_nothing(client, settings).await?;
    rights::roles_exist(client, settings).await?;
    prepare(client, &site).await?;
    if check::has_table(client, "session_reaper.user_session").await?
        && let Some(misfit) = keys::misfits(client, &site).await?.first()
    {
        return Err(misfit.complain());
    }
    let migrations = shape(client, &site, version).await?;
    let installed = if version < newest_version() {
        // Functions and triggers are those of the newest shape.
        Installed::default()
    } else {
        install(client, &site, settings).await?
    };
    Ok(Installed {
        migrations,
        ..installed
    })
}

/// Refuses a role with which it could not be finished, and takes away what `link` may have left in the middle.
pub(super) async fn prepare(client: &Client, site: &Site) -> Result<(), Error> {
    rights::check(client, site).await?;
    built::drop_left_overs(client).await?;
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
        references: references::mend(client, site).await?,
        ..Installed::default()
    };
    client.batch_execute("set lock_timeout = '3s'").await?;
    behaviour::remember(client, "site", &check::site_digest(site)).await?;
    installed.behaviour = behaviour::apply(client, site).await?;
    if installed.behaviour.contains(&"purge") {
        installed.expiry = Some(expiry::in_words(site.expires.as_ref()));
    }
    behaviour::remember(client, "expiry", &check::expiry_digest(site)).await?;
    installed.detached = triggers::detach_others(client, site).await?;
    for trigger in triggers::wanted(site) {
        if trigger.ensure(client).await? {
            installed
                .triggers
                .push(format!("{} on {}", trigger.name, trigger.table));
        }
    }
    if !site.reading.reads() {
        client
            .batch_execute("select session_reaper.stop_reading()")
            .await?;
    }
    if !site.is_cached {
        client
            .batch_execute("select session_reaper.stop_evicting()")
            .await?;
    }
    rights::grant(client, site, settings).await?;
    installed.unread = unlinked::waiting(client, site).await?;
    Ok(installed)
}

pub(super) async fn shape(
    client: &mut Client,
    site: &Site,
    version: i32,
) -> Result<Vec<String>, Error> {
    client
        .batch_execute(
            "create schema if not exists session_reaper;
            comment on schema session_reaper is 'Ends sessions when passwords change. Installed by session-reaper.'",
        )
        .await?;
    for (name, value) in site.migration_settings() {
        let set = format!(
            "select pg_catalog.set_config({}, {}, false)",
            quote_literal(name),
            quote_literal(&value)
        );
        client.batch_execute(&set).await?;
    }
    let mut applied = Vec::new();
    let tables = [site.sessions.oid, site.users.oid];
    for attempt in 0..LOCK_TRIES {
        wait_for_turn(client, &tables, attempt).await?;
        let mut runner =
            embedded::migrations::runner().set_target(refinery::Target::Version(version));
        runner.set_migration_table_name(HISTORY);
        match runner.run_async(client).await {
            Ok(report) => {
                applied.extend(report.applied_migrations().iter().map(ToString::to_string));
                return Ok(applied);
            }
            Err(error) => {
                let so_far = error.report().map(refinery::Report::applied_migrations);
                applied.extend(so_far.into_iter().flatten().map(ToString::to_string));
                retry_or_fail(error)?;
            }
        }
    }
    Err(Error::Busy {
        what: format!("{} and {}", site.sessions, site.users),
        tries: LOCK_TRIES,
    })
}
