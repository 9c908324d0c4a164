//! The cache beside the session table.

use super::{Opinion, Patient, fail, ok, warn};
use crate::{
    cache::Cache,
    connection::Error,
    settings::{self, CacheKind},
};

/// No session has this key, so asking the cache to forget it shows whether it would, and changes nothing.
const NOBODYS_KEY: &str = "session-reaper-doctor";

pub(super) async fn cache(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Some(settings) = &patient.settings.cache else {
        // A preset that knows how entries are called is that of a store that can cache.
        return match settings::knows_cache(&patient.settings.site.preset) {
            true => warn(
                "none is named: an app that caches its sessions, such as Django with cached_db, answers for ended ones until [cache] names its cache; say kind = \"none\" there if it asks the table at every request",
            ),
            false => ok("none is named"),
        };
    };
    match settings.kind {
        CacheKind::InProcess => warn(
            "the app caches sessions in the memory of its own processes (Django's LocMemCache, moka), which nobody else can evict from: an ended session is answered there until it expires or the process restarts. Let all processes share a Redis, Valkey, Memcached or database cache, or do without one (django.contrib.sessions.backends.db)",
        ),
        CacheKind::None => ok("none"),
        CacheKind::Table => match &patient.site {
            Ok(site) => ok(site
                .cache
                .as_ref()
                .map_or_else(String::new, |table| format!("the table {table}"))),
            Err(_) => Ok(Vec::new()),
        },
        _ => Ok(outside(settings, patient).await),
    }
}

async fn outside(settings: &settings::Cache, patient: &Patient<'_>) -> Vec<Opinion> {
    let mut opinions = match ask(settings).await {
        Ok(who) => ok(format!("{who} confirms evictions")),
        Err(error) => fail(error.to_string()),
    }
    .unwrap_or_default();
    let status = patient.status.iter();
    let lines = status.flat_map(|status| status.cache.lines());
    opinions.extend(lines.flat_map(|(_, says)| warn(says).unwrap_or_default()));
    opinions
}

async fn ask(settings: &settings::Cache) -> Result<String, crate::cache::Error> {
    let mut cache = Cache::open(settings)?;
    cache.evict(&[NOBODYS_KEY.to_owned()]).await?;
    Ok(cache.describe())
}
