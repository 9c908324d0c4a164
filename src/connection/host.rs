//! The hosts that a connection string names, each with what it takes to connect to it.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::parameters::Parameters;
use super::passfile::{self, Login};
use super::tls::Tls;
use super::{Connection, Error};
use crate::settings::Environment;

/// Where Debian's and Red Hat's servers put their socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// Where a server may be.
pub(super) struct Place {
    name: String,
    address: Option<String>,
    port: String,
}

/// A place, and everything to connect to it.
#[derive(Clone)]
pub(super) struct Host {
    config: Config,
    connector: MakeRustlsConnect,
}

impl Host {
    /// Connects with options on top of the operator's own, or without where a pooler refuses them: then everything
    /// works, only less carefully. The caller limits the time: a server that accepts and then sends nothing evades
    /// every time-out that the driver has.
    pub async fn connect(
        &self,
        options: &str,
    ) -> Result<(Client, Connection), tokio_postgres::Error> {
        let own = self.config.get_options().unwrap_or_default();
        let mut config = self.config.clone();
        config.options(format!("{own} {options}"));
        match config.connect(self.connector.clone()).await {
            Err(error) if refuses_options(&error) => {
                self.config.connect(self.connector.clone()).await
            }
            result => result,
        }
    }

    /// What the driver was told.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

// pgbouncer calls it a violation of the protocol, other poolers a feature that they lack.
fn refuses_options(error: &tokio_postgres::Error) -> bool {
    let codes = [
        SqlState::PROTOCOL_VIOLATION,
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| codes.contains(code))
}

impl Place {
    /// Takes the places out of the parameters.
    pub fn take_from(parameters: &mut Parameters) -> Result<Vec<Self>, Error> {
        let list = |text: Option<String>| -> Vec<String> {
            text.iter()
                .flat_map(|text| text.split(','))
                .map(str::to_owned)
                .collect()
        };
        let mut names = list(parameters.take("host"));
        let addresses = list(parameters.take("hostaddr"));
        let ports = list(parameters.take("port"));
        if names.is_empty() {
            // The address is also the name that a certificate has to be for.
            names = if addresses.is_empty() {
                vec![String::new()]
            } else {
                addresses.clone()
            };
        }
        if ![0, names.len()].contains(&addresses.len())
            || ![0, 1, names.len()].contains(&ports.len())
        {
            return Err(Error::Settings(
                "the database has a different number of hosts, addresses and ports: name one of each per host".to_owned(),
            ));
        }
        let nth = |list: &[String], n: usize| {
            list.get(n)
                .or(list.first())
                .filter(|text| !text.is_empty())
                .cloned()
        };
        Ok(names
            .iter()
            .enumerate()
            .map(|(n, name)| Self {
                name: if name.is_empty() {
                    SOCKET_DIRECTORY
                } else {
                    name
                }
                .to_owned(),
                address: nth(&addresses, n),
                port: nth(&ports, n).unwrap_or_else(|| "5432".to_owned()),
            })
            .collect())
    }

    /// The place as it appears in log lines.
    pub fn describe(&self) -> String {
        format!("{} port {}", self.name, self.port)
    }

    /// Whether it is a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }

    /// Completes it to a host: `common` holds what all hosts share.
    pub fn complete(
        &self,
        common: &Parameters,
        tls: &Tls,
        passwords: Option<&str>,
        patience: Duration,
    ) -> Result<Host, Error> {
        let mut parameters = common.clone();
        parameters.set("host", &self.name);
        parameters.set("port", &self.port);
        if let Some(address) = &self.address {
            parameters.set("hostaddr", address);
        }
        if let Some(password) = passwords.and_then(|text| self.password(text, common)) {
            parameters.set_default("password", password);
        }
        let mut config = parameters.to_config()?;
        // A socket never leaves the machine, and the server refuses to encrypt there.
        config.ssl_mode(if self.is_socket() {
            SslMode::Disable
        } else {
            tls.mode
        });
        // A name may have several addresses, of which the first may be a black hole.
        config.connect_timeout(patience / 2);
        Ok(Host {
            config,
            connector: tls.connector.clone(),
        })
    }

    // As in libpq, the usual socket counts as localhost there.
    fn password(&self, text: &str, common: &Parameters) -> Option<String> {
        let host = if self.name == SOCKET_DIRECTORY {
            "localhost"
        } else {
            &self.name
        };
        let (database, user) = (common.get("dbname")?, common.get("user")?);
        passfile::password(
            text,
            &Login {
                host,
                port: &self.port,
                database,
                user,
            },
        )
    }
}

/// The file of passwords, read only where no password is given.
pub(super) fn passwords(parameters: &mut Parameters, environment: &Environment) -> Option<String> {
    let named = parameters.take("passfile").map(PathBuf::from);
    let usual = || Some(PathBuf::from(environment.get("HOME")?).join(".pgpass"));
    match parameters.get("password") {
        Some(_) => None,
        None => passfile::read(&named.or_else(usual)?),
    }
}
