//! The sections that hold for any site: how its changes are noticed, its sessions linked, ended and purged, and what is
//! reported of that.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How changes are noticed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// How often the listening connection has to prove that notifications arrive, in seconds. A dead one
    /// is noticed after at most twice this time.
    pub heartbeat_s: u64,
    /// How often the daemon looks unprompted, in seconds: the net below NOTIFY.
    pub poll_interval_s: u64,
    /// Whether `NOTIFY session_reaper, '<user id>'` revokes that user. Any role that can connect can notify.
    pub hand_requests: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            heartbeat_s: 5,
            poll_interval_s: 5,
            hand_requests: true,
        }
    }
}

/// How sessions are linked to their users, where the app does not do that itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// How often the daemon reads what has been written, in seconds; before a revocation it does so anyway. A changing
    /// transaction by itself cannot end sessions that have not been read.
    pub poll_interval_s: u64,
    /// Most sessions in one transaction.
    pub batch_rows: u32,
    /// Pause of the daemon after each batch, of new sessions or of those from before the installation, as a multiple of
    /// the time that it took. A revocation waits for no such pause.
    pub pause_ratio: f64,
    /// File with Django's `SECRET_KEY` on its first line and `SECRET_KEY_FALLBACKS` below: sessions that were opened under
    /// an older password are then recognised by their hash. Needs a restart.
    pub secret_key_file: Option<PathBuf>,
    /// How long after a session was linked its hash is compared, in seconds: longer than the longest request.
    pub verify_after_s: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            poll_interval_s: 1,
            batch_rows: 1000,
            pause_ratio: 1.0,
            secret_key_file: None,
            verify_after_s: 120,
        }
    }
}

/// How sessions are ended.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Revoke {
    /// Most revocations, and most sessions, in one transaction.
    pub batch_rows: u32,
    /// How long a deleted session may be written back by a request in flight, in seconds; it is ended
    /// again after that. Django's own stores never write one back: 0.
    pub write_back_grace_s: u64,
    /// How long a revocation waits for a transaction that was open at the change before it settles without it, with a
    /// warning, in seconds.
    pub settle_cap_s: u64,
    /// Whether each revocation is announced on the channel `session_revoked`, for apps that hold connections open. Any
    /// role that can connect can listen, and hears which user it was.
    pub tell: bool,
}

impl Default for Revoke {
    fn default() -> Self {
        Self {
            batch_rows: 1000,
            write_back_grace_s: 0,
            settle_cap_s: 86_400,
            tell: true,
        }
    }
}

/// How expired sessions are deleted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// Cron expression with seconds, in UTC; empty: never.
    pub schedule: String,
    /// Most sessions in one transaction.
    pub batch_rows: u32,
    /// Pause after each batch, as a multiple of the time that the batch took.
    pub pause_ratio: f64,
    /// How long settled revocations are kept as an audit trail, in days.
    pub retention_d: u32,
}

impl Default for Purge {
    fn default() -> Self {
        Self {
            schedule: "0 */5 * * * *".to_owned(),
            batch_rows: 1000,
            pause_ratio: 1.0,
            retention_d: 90,
        }
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `session_reaper=debug`.
    pub level: String,
    /// `auto`, `text`, `json` or `journal`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

/// Where and how log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// The journal under systemd, text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
    /// journald's own socket, with fields.
    Journal,
}

/// What `doctor` reports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doctor {
    /// Findings that the operator knows of and lives with, by their names: they no longer count.
    pub silence: Vec<String>,
}
