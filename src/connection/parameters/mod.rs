//! A connection string taken apart: the same names and meanings as libpq's, whichever form it is written in.
//!
//! tokio-postgres parses such strings, too, but refuses `sslmode=verify-full`, `sslrootcert` and more, and
//! reads no `PG*` variables. So the string is read here, completed, and handed on without what is ours.

mod keywords;
mod url;

use std::collections::BTreeMap;

use super::Error;
use crate::settings::Environment;

/// What tokio-postgres or this module understands. Whatever restricts whom we talk to and is not understood,
/// such as `sslcrl`, has to be an error: to ignore it would be to trust more than the operator does.
const KNOWN: [&str; 24] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// libpq's variables and the parameters that they fill.
const VARIABLES: [(&str, &str); 18] = [
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGOPTIONS", "options"),
    ("PGPASSFILE", "passfile"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
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
        let pairs = match url::without_scheme(text) {
            Some(rest) => url::pairs(rest),
            None if url::has_other_scheme(text) => {
                Err("its scheme is not postgresql://".to_owned())
            }
            None => keywords::pairs(text),
        };
        pairs.and_then(Self::from_pairs).map_err(|problem| {
            Error::Settings(format!(
                "the connection string from {source} is wrong: {problem}; write it as \
                 postgresql://user:password@host:port/database with special characters percent-encoded (@ as %40)"
            ))
        })
    }

    fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut parameters = Self::default();
        // An empty value counts as none, and of two the last one wins, as libpq has it.
        for (nth, (name, value)) in pairs.into_iter().enumerate() {
            let name = recognised(&name, &value).ok_or_else(|| unknown(&name, nth + 1))?;
            if !value.is_empty() {
                parameters.set(name, value);
            }
        }
        Ok(parameters)
    }

    /// Lets the `PG*` variables say what the string left open.
    pub fn fill_from(&mut self, environment: &Environment) {
        for (variable, name) in VARIABLES {
            if let Some(value) = environment.get(variable) {
                self.set_default(name, value);
            }
        }
    }

    /// Whether any of them says which database, and not only how to connect to it.
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

// The name under which a parameter is kept.
fn recognised<'a>(name: &'a str, value: &str) -> Option<&'a str> {
    match name {
        // Both spellings of one thing: libpq's and the driver's.
        "keepalives_count" => Some("keepalives_retries"),
        // GSSAPI encryption is never used here, so only a string that insists on it cannot be met.
        "gssencmode" if !["disable", "prefer"].contains(&value) => None,
        _ => (name == "user" || KNOWN.contains(&name)).then_some(name),
    }
}

// What looks like an unknown name may be a piece of a password with a space or an `&` in it, so it is not quoted.
fn unknown(name: &str, nth: usize) -> String {
    let (likeness, nearest) = KNOWN
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or_default();
    if likeness > 0.85 && likeness < 1.0 {
        return format!(
            "its parameter number {nth} is not known, and the nearest known one is {nearest}"
        );
    }
    format!("its parameter number {nth} is not known or not supported")
}

#[cfg(test)]
mod tests;
