//! A connection string taken apart: the same names and meanings as libpq's, whichever form it is written in.
//!
//! tokio-postgres parses such strings, too, but refuses `sslmode=verify-full`, `sslrootcert` and more, and reads no
//! `PG*` variables. So the string is read here, completed, and handed on without our own parameters.

mod keywords;
mod known;
mod service;
mod url;

use std::collections::BTreeMap;

use super::Error;
use crate::settings::Environment;

/// libpq's variables and the parameters that they fill.
const VARIABLES: [(&str, &str); 36] = [
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCLIENTENCODING", "client_encoding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGGSSDELEGATION", "gssdelegation"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGGSSLIB", "gsslib"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGKRBSRVNAME", "krbsrvname"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGMAXPROTOCOLVERSION", "max_protocol_version"),
    ("PGMINPROTOCOLVERSION", "min_protocol_version"),
    ("PGOPTIONS", "options"),
    ("PGPASSFILE", "passfile"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCOMPRESSION", "sslcompression"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLKEYLOGFILE", "sslkeylogfile"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLSNI", "sslsni"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// Parameters by name. There is no `Debug`, because one of them is the password (P7).
#[derive(Clone, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a connection string; `source` says where it came from and appears in errors, unlike the string.
    pub fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let text = text.trim();
        // In a URL, the part before the "?" is not a parameter with a number.
        let (pairs, unnumbered) = match url::without_scheme(text) {
            Some(rest) => (url::pairs(rest), url::BEFORE_QUERY),
            None if url::has_other_scheme(text) => {
                (Err("its scheme is not postgresql://".to_owned()), 0)
            }
            None => (keywords::pairs(text), 0),
        };
        let parameters = pairs.and_then(|pairs| Self::from_pairs(pairs, unnumbered));
        parameters.map_err(|problem| {
            Error::Settings(format!(
                "the connection string from {source} is wrong: {problem}; write it as \
                 postgresql://user:password@host:port/database with special characters percent-encoded (@ as %40)"
            ))
        })
    }

    fn from_pairs(pairs: Vec<(String, String)>, unnumbered: usize) -> Result<Self, String> {
        let mut parameters = Self::default();
        // Of two with one name the last one wins, as in libpq.
        for (nth, (name, value)) in pairs.into_iter().enumerate() {
            let nth = (nth + 1).saturating_sub(unnumbered);
            let kept = known::kept(&name, &value, &format!("number {nth}"));
            if let Some(name) = kept.map_err(|problem| format!("its parameter {problem}"))? {
                parameters.set(name, value);
            }
        }
        Ok(parameters)
    }

    /// Sets a parameter that has no value yet, if it is one at all.
    fn set_if_open(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(name) = known::kept(name, value, "in it")? {
            self.set_default(name, value);
        }
        Ok(())
    }

    /// Lets a service, and then the `PG*` variables, fill in what the string left open.
    pub fn fill_from(&mut self, environment: &Environment) -> Result<(), Error> {
        service::fill_from(self, environment)?;
        for (variable, name) in VARIABLES {
            if let Some(value) = environment.get(variable) {
                self.set_if_open(name, value).map_err(|problem| {
                    Error::Settings(format!("the variable {variable} is wrong: {problem}"))
                })?;
            }
        }
        Ok(())
    }

    /// Whether any of them names a database, and not only how to connect to it.
    pub fn name_a_database(&self) -> bool {
        ["dbname", "host", "hostaddr", "port", "user"]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    /// Sets a parameter that has no value yet.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) {
        self.0
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
    }

    /// Sets a parameter, whatever it was.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a parameter out that the driver would not understand.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Hands everything that is left to the driver.
    pub fn to_config(&self) -> Result<tokio_postgres::Config, Error> {
        let text = keywords::join(&self.0);
        text.parse().map_err(|error: tokio_postgres::Error| {
            // The driver names the option and never its value.
            let problem = std::error::Error::source(&error).map(ToString::to_string);
            Error::Settings(format!(
                "the database cannot be reached with these connection settings: {}; \
                 correct the connection string or the PG* variable",
                problem.unwrap_or_default()
            ))
        })
    }
}

#[cfg(test)]
mod tests;
