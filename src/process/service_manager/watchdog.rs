//! The service manager's watchdog, and whether heartbeats are often enough for it.

use crate::settings::{self, Environment, Listen};

/// Refuses a heartbeat that is too slow for the service manager's watchdog, which would restart the daemon again and
/// again. A heartbeat may come back as late as the next one is sent, hence twice.
///
/// # Errors
/// Names the setting and the longest time that will do.
pub fn require_room(listen: &Listen, environment: &Environment) -> Result<(), settings::Error> {
    let own = std::process::id().to_string();
    // The variables are inherited by programs that are not watched themselves.
    if environment
        .get("WATCHDOG_PID")
        .is_some_and(|pid| pid != own)
    {
        return Ok(());
    }
    let watchdog_us = environment
        .get("WATCHDOG_USEC")
        .and_then(|text| text.parse::<u64>().ok());
    let Some(longest_s) = watchdog_us.map(|us| us / 2_000_000) else {
        return Ok(());
    };
    if listen.heartbeat_s <= longest_s {
        return Ok(());
    }
    Err(settings::Error::Invalid {
        name: "listen.heartbeat_s",
        rule: format!(
            "has to be at most half of WatchdogSec= of the unit, that is {longest_s}, and is {}: lower it or raise WatchdogSec=",
            listen.heartbeat_s
        ),
    })
}
