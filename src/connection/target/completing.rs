//! Completes what no source names of a connection: libpq's defaults, and what a daemon needs.

use super::super::{Error, host::Place, parameters::Parameters};
use super::HOW_TO_GIVE_ONE;

pub(super) fn complete(
    parameters: &mut Parameters,
    places: &[Place],
    is_given: bool,
) -> Result<(), Error> {
    if parameters.get("user").is_none() {
        let user = whoami::username().map_err(|_| Error::Settings(nameless(is_given)))?;
        parameters.set("user", user);
    }
    let user = parameters.get("user").unwrap_or_default().to_owned();
    parameters.set_default("dbname", user);
    let fallback = parameters.take("fallback_application_name");
    parameters.set_default(
        "application_name",
        fallback.unwrap_or_else(|| "session-reaper".to_owned()),
    );
    keep_alive(parameters);
    server_that_writes(parameters, places)
}

/// Where the operating system knows no name for the user who runs this, as in a container.
fn nameless(is_given: bool) -> String {
    if is_given {
        "no user is given to connect as, and the one that runs this has no name: write it into the connection string, or set PGUSER"
            .to_owned()
    } else {
        format!("no database was given ({HOW_TO_GIVE_ONE})")
    }
}

// The driver's default is two hours until the first probe; a firewall forgets the connection long before.
fn keep_alive(parameters: &mut Parameters) {
    parameters.set_default("keepalives_idle", "30");
    parameters.set_default("keepalives_interval", "10");
    parameters.set_default("keepalives_retries", "3");
    // libpq counts it in milliseconds, the driver in seconds. What is not a number is for the driver to refuse.
    if let Some(text) = parameters.take("tcp_user_timeout") {
        let seconds = text.parse::<u64>().map(|ms| ms.div_ceil(1000).to_string());
        parameters.set("tcp_user_timeout", seconds.unwrap_or(text));
    }
    parameters.set_default("tcp_user_timeout", "30");
}

// The daemon writes, so where there is a choice of hosts it has to find the one that accepts writes.
fn server_that_writes(parameters: &mut Parameters, places: &[Place]) -> Result<(), Error> {
    let default = if places.len() > 1 {
        "read-write"
    } else {
        "any"
    };
    parameters.set_default("target_session_attrs", default);
    match parameters.get("target_session_attrs") {
        // The driver does not know this word for it.
        Some("primary") => parameters.set("target_session_attrs", "read-write"),
        Some("any" | "read-write") => {}
        _ => {
            return Err(Error::Settings(
                "target_session_attrs has to be any, read-write or primary, since session-reaper writes".to_owned(),
            ));
        }
    }
    Ok(())
}
