//! The two rules, in terms of what clients can know.
//!
//! A session is ended by a change unless the transaction that first put the user into it began after the change had
//! committed, or is the changing transaction, or the app asked to keep it. Where the policy is to end all, only the
//! first of these helps. A change of everybody's is one of each user's; a session that is nobody's has no changes.

use super::ledger::{Cause, Change, Login, Micros};

/// Why a settled change must have ended this session, if it must.
pub fn must_end(login: &Login, change: &Change) -> Option<&'static str> {
    if change.cause == Cause::Deleted {
        return is_deleted_with(login, change).then_some("its user was deleted");
    }
    if spares(login, change) {
        return None;
    }
    if login.begin.returned < change.stamp_from {
        return Some("its transaction had begun before the change was committed");
    }
    if login.sight.returned < change.publish_sent {
        return Some("its transaction could not see the change");
    }
    match change.cause {
        Cause::Password(from) if login.generation <= from && !excused(login, change) => {
            Some("it was opened with an older password")
        }
        _ => None,
    }
}

/// Nothing but the app itself keeps a session from naming a user who is gone, so the deletion has to end late ones too.
fn is_deleted_with(login: &Login, deletion: &Change) -> bool {
    let is_older =
        login.begin.returned < deletion.stamp_from || login.sight.returned < deletion.publish_sent;
    login.known <= deletion.stamp_from || login.first_write.is_some() && is_older
}

/// Whether it names a user who had been deleted when it began, as far as any schema can see: then it is nobody's, and
/// other changes do not concern it.
pub fn is_stillborn(login: &Login, change: &Change) -> bool {
    change.cause == Cause::Deleted && login.first_write.is_some() && !is_deleted_with(login, change)
}

/// Whether a change may have ended this session, which was found gone at `seen`.
pub fn may_end(login: &Login, change: &Change, seen: Micros) -> bool {
    if change.stamp_from >= seen {
        return false;
    }
    if change.cause == Cause::Deleted {
        return true;
    }
    let linked = if login.versioned {
        login.begin.sent.min(login.read.sent)
    } else {
        login.begin.sent
    };
    // What the session says was read after all of its writes: any of them may have brought the user.
    let began = linked.min(login.first_write.unwrap_or(linked));
    let is_in_doubt = login
        .first_write
        .is_some_and(|other| other <= change.published);
    let is_asked_for = change.keep.as_ref() == Some(&login.key);
    let spared = spares(login, change) && (is_asked_for || !is_in_doubt);
    !spared && change.published >= began
}

/// Whether a change of whoever was logged in before may have ended a session that has changed hands since. The daemon
/// reads who is logged in before it ends anything; a transaction that has to end sessions itself cannot.
pub fn may_end_before(
    login: &Login,
    next: &Login,
    change: &Change,
    seen: Micros,
    served: bool,
) -> bool {
    (change.stamp_from <= next.known || !served) && may_end(login, change, seen)
}

/// The changing transaction opened it, or the app asked to keep it: neither helps against a policy that ends all.
fn spares(login: &Login, change: &Change) -> bool {
    let ends_all = matches!(change.cause, Cause::Deactivated | Cause::FactorChanged);
    let spared =
        login.transaction == change.transaction || change.keep.as_ref() == Some(&login.key);
    spared && !ends_all
}

/// Whether a session stays only because no schema can see that it was opened with an older password.
pub fn is_excused(login: &Login, change: &Change) -> bool {
    let older = matches!(change.cause, Cause::Password(from) if login.generation <= from);
    older && !spares(login, change) && must_end(login, change).is_none()
}

/// "What no schema can see", and nothing else: a login in two transactions without a credential version, and
/// a transaction that began while the commit was under way, or prepared, and inserted after it.
fn excused(login: &Login, change: &Change) -> bool {
    let began_meanwhile =
        login.begin.returned >= change.stamp_from && login.begin.sent <= change.published;
    !login.versioned && (login.split || began_meanwhile)
}
