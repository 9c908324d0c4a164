//! Which sessions of a batch are stale, and up to where all have been decided.

/// How long an unproven mismatch is kept for a proof that may still come, in microseconds.
const WAIT_FOR_PROOF_US: i64 = 3600 * 1_000_000;

/// A session as it was linked.
pub(super) struct Linked {
    pub place: String,
    pub linked_us: i64,
    /// Whether the hash in it is its user's; nothing where there is none.
    pub matches: Option<bool>,
}

/// What to do about a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub stale: Vec<String>,
    pub verified_to_us: i64,
}

/// What to do about sessions in the order in which they were linked; nothing if there are none.
pub(super) fn judge(linked: &[Linked]) -> Option<Verdict> {
    let last = linked.last()?.linked_us;
    let proven_to = linked
        .iter()
        .rev()
        .find(|session| session.matches == Some(true))
        .map(|session| session.linked_us);
    let mismatches = || {
        linked
            .iter()
            .filter(|session| session.matches == Some(false))
    };
    let is_proven = |session: &&Linked| proven_to.is_some_and(|to| session.linked_us < to);
    let stale = mismatches()
        .filter(is_proven)
        .map(|session| session.place.clone())
        .collect();
    let waits = mismatches()
        .find(|session| !is_proven(session) && session.linked_us > last - WAIT_FOR_PROOF_US);
    Some(Verdict {
        stale,
        verified_to_us: waits.map_or(last, |session| session.linked_us - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(sessions: &[(i64, Option<bool>)]) -> Vec<Linked> {
        let one = |(linked_us, matches): &(i64, Option<bool>)| Linked {
            place: linked_us.to_string(),
            linked_us: *linked_us,
            matches: *matches,
        };
        sessions.iter().map(one).collect()
    }

    fn verdict(sessions: &[(i64, Option<bool>)]) -> (Vec<String>, i64) {
        let verdict = judge(&linked(sessions)).unwrap();
        (verdict.stale, verdict.verified_to_us)
    }

    #[test]
    fn a_session_is_stale_only_where_a_later_one_matches() {
        let stale = verdict(&[(1, Some(false)), (2, Some(true)), (3, None)]);
        assert_eq!(stale, (vec!["1".to_owned()], 3));
    }

    #[test]
    fn after_a_rotation_nothing_is_stale_and_all_wait_for_a_proof() {
        let rotated = verdict(&[(1, Some(true)), (2, Some(false)), (3, Some(false))]);
        assert_eq!(rotated, (vec![], 1));
    }

    #[test]
    fn a_proof_that_does_not_come_is_not_waited_for_without_end() {
        let hour = WAIT_FOR_PROOF_US;
        assert_eq!(
            verdict(&[(1, Some(false)), (hour + 2, None)]),
            (vec![], hour + 2)
        );
    }

    #[test]
    fn sessions_without_a_hash_prove_nothing() {
        assert_eq!(
            verdict(&[(1, None), (2, Some(false)), (3, None)]),
            (vec![], 1)
        );
    }
}
