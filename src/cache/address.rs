//! Where a server of the cache is.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use super::Error;

const MEMCACHED_PORT: u16 = 11211;

/// A host and port, or a socket of this machine. What it displays holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Tcp(String, u16),
    Socket(PathBuf),
}

/// What a URL of Redis says.
pub(super) struct Given {
    pub address: Address,
    pub is_tls: bool,
    /// User and password.
    pub login: RedisConnectionInfo,
    pub database: i64,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Given {
    /// Reads a URL, which is not quoted in the error, since it may hold a password (P7).
    pub fn read(url: &str) -> Result<Self, Error> {
        let secure = url
            .strip_prefix("rediss://")
            .or_else(|| url.strip_prefix("valkeys://"));
        // TLS is ours, and without it the client does not know these two.
        let plain = secure.map(|rest| format!("redis://{rest}"));
        let read = plain.as_deref().unwrap_or(url).into_connection_info();
        let info = read.map_err(|_| {
            Error::Settings(
                "the setting cache.servers has to name URLs such as redis://host:6379/1, rediss://host:6380 or \
                 unix:///run/redis/redis.sock?db=1 (for Memcached, set cache.kind = \"memcached\")"
                    .to_owned(),
            )
        })?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Address::Tcp(host.clone(), *port)
            }
            ConnectionAddr::Unix(path) => Address::Socket(path.clone()),
            _ => return Err(Error::Settings("cache.servers names no address".to_owned())),
        };
        Ok(Self {
            address,
            is_tls: secure.is_some(),
            // The command for it would need one more right.
            login: info
                .redis_settings()
                .clone()
                .set_db(0)
                .set_skip_set_lib_name(),
            database: info.redis_settings().db(),
        })
    }
}

impl Address {
    /// Reads a server of Memcached as its clients write it: `host`, `host:port`, `[::1]:port`, `/path`, `unix:/path`.
    pub fn of_memcached(text: &str) -> Result<Self, Error> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Socket(path.into()));
        }
        // An address of version 6 without brackets has no port.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok())
            }
            _ => (text, Some(MEMCACHED_PORT)),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port {
            Some(port) if !host.is_empty() && !host.contains(['/', '@', ' ']) => {
                Ok(Self::Tcp(host.to_owned(), port))
            }
            _ => Err(Error::Settings(
                "the setting cache.servers has to name servers such as host:11211 or /run/memcached.sock".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_written_as_their_clients_write_them() {
        for (url, is_tls, shown) in [
            (
                "redis://u:s3cret@cache.example/2",
                false,
                "cache.example:6379",
            ),
            ("rediss://:s3cret@[::1]:7000", true, "[::1]:7000"),
            ("valkey://h:1", false, "h:1"),
            ("valkeys://h", true, "h:6379"),
            ("unix:///run/redis.sock?db=3", false, "/run/redis.sock"),
        ] {
            let given = Given::read(url).unwrap();
            assert_eq!(
                (given.is_tls, given.address.to_string().as_str()),
                (is_tls, shown)
            );
        }
        assert_eq!(Given::read("redis://u:p@h/2").unwrap().database, 2);
        for (text, shown) in [
            ("h", "h:11211"),
            ("h:1", "h:1"),
            ("::1", "[::1]:11211"),
            ("[::1]:2", "[::1]:2"),
            ("unix:/a", "/a"),
            ("/a", "/a"),
        ] {
            assert_eq!(Address::of_memcached(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_quoted() {
        for text in [
            "http://s3cret",
            "s3cret",
            "redis://a:s3cret@h/x",
            "redis://",
        ] {
            let error = Given::read(text).err().unwrap().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        for text in ["redis://a:s3cret@h", "h:s3cret", "", ":1"] {
            let error = Address::of_memcached(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
