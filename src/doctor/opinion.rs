//! What a check thinks of what it saw.

use super::{Finding, Verdict};
use crate::{
    connection::Error,
    settings::{FINDINGS, Settings},
};

/// A finding without the name of its check, which is added where it was asked.
pub(super) struct Opinion {
    verdict: Verdict,
    id: Option<&'static str>,
    mend: String,
    says: String,
}

impl Opinion {
    /// All is well.
    pub fn well(says: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            id: None,
            mend: String::new(),
            says: says.into(),
        }
    }

    /// Something is not well. Where no single command mends it, `mend` is empty.
    pub fn new(
        verdict: Verdict,
        id: &'static str,
        mend: impl Into<String>,
        says: impl Into<String>,
    ) -> Self {
        debug_assert!(FINDINGS.contains(&id), "{id} is not listed");
        Self {
            verdict,
            id: Some(id),
            mend: mend.into(),
            says: says.into(),
        }
    }

    pub fn of(self, check: &'static str, settings: &Settings) -> Finding {
        let silence = &settings.doctor.silence;
        Finding {
            check,
            id: self.id,
            verdict: self.verdict,
            says: self.says,
            mend: Some(self.mend).filter(|mend| !mend.is_empty()),
            silenced: self
                .id
                .is_some_and(|id| silence.iter().any(|one| one == id)),
        }
    }
}

type Opinions = Result<Vec<Opinion>, Error>;

/// All is well.
pub(super) fn ok(says: impl Into<String>) -> Opinions {
    Ok(vec![Opinion::well(says)])
}

/// Works, but is worth knowing.
pub(super) fn warn(id: &'static str, mend: impl Into<String>, says: impl Into<String>) -> Opinions {
    Ok(vec![Opinion::new(Verdict::Warn, id, mend, says)])
}

/// Keeps sessions from ending as they should.
pub(super) fn fail(id: &'static str, mend: impl Into<String>, says: impl Into<String>) -> Opinions {
    Ok(vec![Opinion::new(Verdict::Fail, id, mend, says)])
}
