//! Where figures, health and a page are served over HTTP.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, ranges::invalid};

/// Figures, health and a page over HTTP, all of them read-only. Changes need a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to listen: a loopback address and a port, or `unix:` and a path. Left out: nowhere.
    pub listen: Option<String>,
    /// Whether `listen` may be an address that other machines reach.
    pub allow_remote: bool,
    /// Whether `/` shows what `status` and `history` show. Figures and health name nobody.
    pub page: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: None,
            allow_remote: false,
            page: true,
        }
    }
}

/// What `listen` names.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenOn {
    /// An address and a port.
    Address(SocketAddr),
    /// The path of a Unix socket.
    Socket(PathBuf),
}

impl Metrics {
    /// Where to listen; none where it is not set.
    ///
    /// # Errors
    /// What is neither an address nor a path, and an address that other machines reach where that is not allowed.
    pub fn listen_on(&self) -> Result<Option<ListenOn>, Error> {
        let Some(listen) = &self.listen else {
            return Ok(None);
        };
        let refuse = |rule: String| Err(invalid("metrics.listen", rule));
        if let Some(path) = listen.strip_prefix("unix:") {
            if !path.starts_with('/') || path.contains('\0') {
                return refuse(
                    "has to name a path from the root behind unix:, such as unix:/run/session-reaper/mysite.sock".to_owned(),
                );
            }
            return Ok(Some(ListenOn::Socket(path.into())));
        }
        // A name could be another address at each start. What is not an address is not shown: it may be a secret (P7).
        let Ok(address) = listen.parse::<SocketAddr>() else {
            return refuse(
                "has to be an address with a port, such as 127.0.0.1:9187 or [::1]:9187, or unix: and a path".to_owned(),
            );
        };
        if !address.ip().to_canonical().is_loopback() && !self.allow_remote {
            return refuse(format!(
                "is {address}, which other machines may reach, and whoever reaches it can read it: take a loopback address such as 127.0.0.1:{}, or set metrics.allow_remote = true",
                address.port()
            ));
        }
        Ok(Some(ListenOn::Address(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(listen: &str, allow_remote: bool) -> Result<Option<ListenOn>, String> {
        let metrics = Metrics {
            listen: Some(listen.to_owned()),
            allow_remote,
            ..Metrics::default()
        };
        metrics.listen_on().map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_this_machine_alone_reaches_is_taken_without_a_second_word() {
        for loopback in [
            "127.0.0.1:9187",
            "127.8.8.8:1",
            "[::1]:9187",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(listening(loopback, false).is_ok(), "{loopback}");
        }
        for remote in [
            "0.0.0.0:9187",
            "[::]:9187",
            "192.0.2.1:9187",
            "[2001:db8::1]:9187",
        ] {
            let refused = listening(remote, false).unwrap_err();
            assert!(
                refused.contains("metrics.listen is ") && refused.contains("allow_remote"),
                "{refused}"
            );
            assert!(listening(remote, true).is_ok(), "{remote}");
        }
    }

    #[test]
    fn a_socket_is_a_path_from_the_root() {
        let path = ListenOn::Socket("/run/session-reaper/shop.sock".into());
        assert_eq!(
            listening("unix:/run/session-reaper/shop.sock", false),
            Ok(Some(path))
        );
        assert!(
            listening("unix:shop.sock", false)
                .unwrap_err()
                .contains("from the root")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_shown() {
        for wrong in [
            "localhost:9187",
            "127.0.0.1",
            "postgresql://a:s3cret@db/x",
            "",
        ] {
            let refused = listening(wrong, true).unwrap_err();
            assert!(
                refused.contains("an address with a port") && !refused.contains("s3cret"),
                "{refused}"
            );
        }
    }
}
