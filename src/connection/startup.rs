//! The server's settings that every connection of ours starts with, whether it is pooled or listens.

use std::time::Duration;

/// How we work, whatever is set for the database or the role.
const WORK: [&str; 10] = [
    // The claiming statements count on seeing what was committed while they waited; a site may have set
    // another level for the whole database.
    r"default_transaction_isolation=read\ committed",
    // Deletion and mark travel in one transaction, so a crash that loses it leaves the request pending.
    "synchronous_commit=off",
    // Below deadlock_timeout, which is 1 s by default: the daemon gives way before the server looks for a
    // deadlock and picks the app as its victim.
    "lock_timeout=400ms",
    // A daemon that is stopped, or cut off, in the middle of a transaction must not keep the app's rows locked, nor
    // revocations waiting for that transaction. Between two of our statements there are milliseconds.
    "idle_in_transaction_session_timeout=5s",
    // A pooled connection that waits for work is not a forgotten one.
    "idle_session_timeout=0",
    // After a bulk change, statistics still say that our tables are empty, and reading one of them whole for
    // each of a thousand rows looks cheap. Everything that the daemon asks has an index.
    "enable_seqscan=off",
    // Nor is a plan kept from when they were empty; what needs one plan is a function that sets that itself.
    "plan_cache_mode=force_custom_plan",
    // It counts the penalty for what is off as a cost that compiling might save.
    "jit=off",
    // Row security, where a site has it, has to fail here rather than hide sessions.
    "row_security=off",
    // Notices are for people, and the driver would hand each of them to the log.
    "client_min_messages=warning",
];

/// How our statements are read. The driver itself tells the server that strings are UTF-8.
const READING: [&str; 3] = [
    // A backslash in a name that we quote would end the literal early.
    "standard_conforming_strings=on",
    "transform_null_equals=off",
    "array_nulls=on",
];

/// How the server prints what comes back as text, and is compared with what we have or sent to it again.
const PRINTING: [&str; 6] = [
    "quote_all_identifiers=off",
    "datestyle=ISO",
    "intervalstyle=postgres",
    "timezone=UTC",
    "bytea_output=hex",
    "extra_float_digits=1",
];

// Not pinned: default_transaction_read_only, which we heed, since it means that no session should write here;
// session_replication_role and lc_messages, which only a superuser may set, and which `check` and errors allow for;
// transaction_timeout, which servers before 17 do not know.

/// The settings, as options of the connection itself, whose only variable part is a number. Not as statements:
/// behind a pooler in transaction mode these would stay on a connection that the app gets next, and the app would
/// run with our short time-outs and without waiting for the disk. Such a pooler refuses options instead.
///
/// `search_path` is left alone: names without a schema in the settings are looked up in the role's own path, and each
/// of our functions pins its own.
pub(super) fn options(statement_timeout_s: u64) -> String {
    // A query goes on in the server when the daemon gives up on it, and holds its locks.
    let own = [format!("statement_timeout={statement_timeout_s}s")];
    let settings = WORK.iter().chain(&READING).chain(&PRINTING);
    settings
        .map(|setting| (*setting).to_owned())
        .chain(own)
        .map(|setting| format!("-c {setting}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The additional option of the listening connection: the server ends it when it has heard nothing for this long.
pub(super) fn idle_option(at_most: Duration) -> String {
    format!("-c idle_session_timeout={}", at_most.as_millis())
}

/// The additional option of a connection whose statements end sooner.
pub(super) fn statement_option(at_most: Duration) -> String {
    format!("-c statement_timeout={}", at_most.as_millis())
}
