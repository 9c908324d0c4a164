//! The words for `sslmode`.

use tokio_postgres::config::SslMode;

use super::{Error, settings};

/// What a connection insists on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    /// Reads the word; it is not quoted in the error, since it may have slipped there from anywhere.
    pub fn read(word: Option<&str>, root: Option<&str>) -> Result<Self, Error> {
        let is_system = root == Some("system");
        let mode = match word {
            // Anyone can get a certificate that the system's roots vouch for; only its name means anything.
            None if is_system => Self::VerifyFull,
            Some("allow" | "prefer") | None => Self::Prefer,
            Some("disable") => Self::Disable,
            Some("require") => Self::Require,
            Some("verify-ca") => Self::VerifyCa,
            Some("verify-full") => Self::VerifyFull,
            Some(_) => {
                return Err(settings(
                    "sslmode is wrong: it has to be disable, allow, prefer, require, verify-ca or verify-full",
                ));
            }
        };
        if is_system && ![Self::Disable, Self::VerifyFull].contains(&mode) {
            return Err(settings(
                "sslrootcert=system proves nothing without the server's name: set sslmode=verify-full",
            ));
        }
        Ok(mode)
    }

    /// As much of it as the driver has to know; the rest is the verifier's.
    pub fn for_driver(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}
