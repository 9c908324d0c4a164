//! From the settings of a cache to its servers, not yet connected.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use redis::RedisConnectionInfo;

use super::address::{Address, Given};
use super::memcached::Memcached;
use super::redis::{Cluster, Login, Node, Sentinel, Servers};
use super::{Error, Kind};
use crate::connection;
use crate::settings::{self, CacheKind};

/// The servers, and how they are described.
pub(super) fn open(settings: &settings::Cache) -> Result<(Kind, String), Error> {
    match settings.kind {
        CacheKind::Memcached => memcached(settings),
        CacheKind::Redis => servers(settings),
        CacheKind::RedisSentinel => sentinel(settings),
        CacheKind::RedisCluster => cluster(settings),
        CacheKind::Table | CacheKind::InProcess | CacheKind::None => Err(Error::Settings(
            "the setting cache.kind names a cache that has no server to evict from".to_owned(),
        )),
    }
}

fn memcached(settings: &settings::Cache) -> Result<(Kind, String), Error> {
    let servers = settings.servers.iter();
    let addresses: Vec<Address> = servers
        .map(|text| Address::of_memcached(text))
        .collect::<Result<_, _>>()?;
    let description = format!("Memcached on {}", listed(&addresses));
    Ok((Kind::Memcached(Memcached::new(addresses)), description))
}

fn servers(settings: &settings::Cache) -> Result<(Kind, String), Error> {
    let members = members(settings)?;
    let addresses: Vec<&Address> = members.iter().map(|(address, _)| address).collect();
    let description = format!("Redis on {}", listed(&addresses));
    let nodes = members.into_iter();
    let nodes = nodes.map(|(address, login)| Node::new(address, login));
    Ok((Kind::Redis(Servers(nodes.collect())), description))
}

fn cluster(settings: &settings::Cache) -> Result<(Kind, String), Error> {
    let (addresses, login) = whole(settings)?;
    let description = format!("Redis cluster on {}", listed(&addresses));
    Ok((Kind::Cluster(Cluster::new(addresses, login)), description))
}

fn sentinel(settings: &settings::Cache) -> Result<(Kind, String), Error> {
    let (addresses, first) = whole(settings)?;
    let name = settings.sentinel_master.clone().unwrap_or_default();
    let description = format!("Redis {name} by Sentinel on {}", listed(&addresses));
    let of_master = Login {
        info: with_password(
            RedisConnectionInfo::default().set_skip_set_lib_name(),
            settings.user.as_ref(),
            settings.password_file.as_deref(),
        )?,
        ..first.clone()
    };
    let of_sentinels = Login {
        info: with_password(
            first.info,
            settings.sentinel_user.as_ref(),
            settings.sentinel_password_file.as_deref(),
        )?,
        database: 0,
        from: "cache.sentinel_user and cache.sentinel_password_file",
        ..first
    };
    let sentinels = addresses.into_iter();
    let sentinels = sentinels.map(|address| Node::new(address, of_sentinels.clone()));
    let sentinel = Sentinel::new(sentinels.collect(), name, of_master);
    Ok((Kind::Sentinel(sentinel), description))
}

/// The members of one whole, which share one login.
fn whole(settings: &settings::Cache) -> Result<(Vec<Address>, Login), Error> {
    let (addresses, mut logins): (_, Vec<Login>) = members(settings)?.into_iter().unzip();
    if logins.is_empty() {
        return Err(Error::Settings(
            "the setting cache.servers is empty".to_owned(),
        ));
    }
    Ok((addresses, logins.swap_remove(0)))
}

fn members(settings: &settings::Cache) -> Result<Vec<(Address, Login)>, Error> {
    let servers = settings.servers.iter();
    servers.map(|url| member(url, settings)).collect()
}

fn member(url: &str, settings: &settings::Cache) -> Result<(Address, Login), Error> {
    let given = Given::read(url)?;
    let tls = given
        .is_tls
        .then(|| connection::verifying(settings.ca_file.as_deref()));
    // With Sentinel, what the URL says is for the Sentinels.
    let info = match settings.kind {
        CacheKind::RedisSentinel => given.login,
        _ => with_password(
            given.login,
            settings.user.as_ref(),
            settings.password_file.as_deref(),
        )?,
    };
    let login = Login {
        info,
        database: given.database,
        tls: tls
            .transpose()
            .map_err(|error| Error::Settings(error.to_string()))?,
        from: "cache.user and cache.password_file, or what cache.servers says",
    };
    Ok((given.address, login))
}

fn with_password(
    info: RedisConnectionInfo,
    user: Option<&String>,
    file: Option<&Path>,
) -> Result<RedisConnectionInfo, Error> {
    let info = match user {
        Some(user) => info.set_username(user),
        None => info,
    };
    let Some(file) = file else {
        return Ok(info);
    };
    let refuse = |what: &dyn Display| {
        let file = file.display();
        Error::Settings(format!(
            "cannot take the cache's password from {file}: {what}; correct its path, its permissions or its content"
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|reason| match reason.kind() {
        ErrorKind::PermissionDenied => Error::NotReadable {
            file: file.display().to_string(),
            reason,
        },
        _ => refuse(&reason),
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(refuse(&"it is empty")),
        password => Ok(info.set_password(password)),
    }
}

fn listed(addresses: &[impl Display]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}
