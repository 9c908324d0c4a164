//! Checks the systemd unit against what the code does: nobody reads it again when a default changes.

use super::LONGEST_STOP;
use crate::settings::Settings;

const UNIT: &str = include_str!("../../systemd/session-reaper@.service");

/// What the unit says after `name=`, in seconds.
fn seconds(name: &str) -> u64 {
    let start = format!("{name}=");
    let value = UNIT.lines().find_map(|line| line.strip_prefix(&start));
    let value = value.expect("the unit sets it");
    let (number, unit) = value.split_at(value.find(char::is_alphabetic).unwrap());
    number.parse::<u64>().unwrap() * if unit == "min" { 60 } else { 1 }
}

#[test]
fn the_unit_lets_the_daemon_stop_and_feed_its_watchdog() {
    assert!(seconds("TimeoutStopSec") > LONGEST_STOP.as_secs());
    assert!(seconds("WatchdogSec") >= 4 * Settings::default().listen.heartbeat_s);
}
