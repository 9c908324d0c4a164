//! The cache beside the session table.

use super::{Opinion, Patient, Verdict, fail, ok, warn};
use crate::{
    cache::{self, Cache},
    connection::Error,
    schema,
    settings::{self, CacheKind},
};

/// No session has this key, so asking the cache to forget it shows whether it would, and changes nothing.
const NOBODYS_KEY: &str = "session-reaper-doctor";

pub(super) async fn cache(patient: &Patient<'_>) -> Result<Vec<Opinion>, Error> {
    let Some(settings) = &patient.settings.cache else {
        if schema::evicts(patient.client).await? {
            return Ok(unnamed(patient));
        }
        return match settings::cached_by(&patient.settings.site.preset) {
            Some(what) => warn(
                "cache.unnamed",
                "",
                format!(
                    "none is named: an app that caches its sessions, by {what}, answers for ended ones until [cache] names its cache; say kind = \"none\" there if it asks the table at every request"
                ),
            ),
            None => ok("none is named"),
        };
    };
    match settings.kind {
        CacheKind::InProcess => warn(
            "cache.in_process",
            "",
            in_process(&patient.settings.site.preset),
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

fn in_process(preset: &str) -> String {
    let uncached = settings::uncached_by(preset).map(|what| format!(", by {what}"));
    format!(
        "the app caches sessions in the memory of its own processes (such as Django's LocMemCache, or moka), which nobody else can evict from: an ended session is answered there until it expires or the process restarts. Let all processes share a Redis, Valkey, Memcached or database cache, or do without one{}",
        uncached.unwrap_or_default()
    )
}

/// A daemon with these settings would evict from no cache, though the installation notes sessions for one.
fn unnamed(patient: &Patient<'_>) -> Vec<Opinion> {
    let mut opinions = vec![Opinion::new(
        Verdict::Fail,
        "cache.forgotten",
        "",
        schema::Error::ForgetsCache.to_string(),
    )];
    opinions.extend(waiting(patient));
    opinions
}

/// What the cache still has to forget, and whether it fails.
fn waiting<'a>(patient: &'a Patient<'_>) -> impl Iterator<Item = Opinion> + 'a {
    let status = patient.status.iter();
    let lines = status.flat_map(|status| status.cache.lines());
    lines.map(|(_, says)| Opinion::new(Verdict::Warn, "cache.waiting", "", says))
}

async fn outside(settings: &settings::Cache, patient: &Patient<'_>) -> Vec<Opinion> {
    let mut opinions = match ask(settings).await {
        Ok(who) => ok(format!("{who} confirms evictions")),
        // The service may read a file that the caller is not allowed to read.
        Err(cache::Error::NotReadable { file, .. }) => warn("cache.not_asked", "", format!(
            "not asked, because this user may not read {file}: run doctor as one who may, such as root; `session-reaper status` says how the daemon fares"
        )),
        Err(error) => fail("cache.no_answer", "", error.to_string()),
    }
    .unwrap_or_default();
    opinions.extend(waiting(patient));
    opinions
}

async fn ask(settings: &settings::Cache) -> Result<String, crate::cache::Error> {
    let mut cache = Cache::open(settings)?;
    cache.evict(&[NOBODYS_KEY.to_owned()]).await?;
    Ok(cache.describe())
}
