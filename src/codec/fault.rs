//! A reason as an error of serde's.

use std::fmt;

use super::Reason;

#[derive(Debug)]
pub(super) struct Fault(pub(super) Reason);

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

impl std::error::Error for Fault {}

// What serde has to say quotes the data, so it is dropped (P7).
impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(Reason::Malformed)
    }
}
