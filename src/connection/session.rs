//! What every connection of the daemon starts with, whether it is pooled or listens.

use std::time::Duration;

/// The settings, as options of the connection itself, whose only variable part is a number. Not as statements:
/// behind a pooler in transaction mode these would stay on a connection that the app gets next, and the app would
/// run with our short time-outs and without waiting for the disk. Such a pooler refuses options instead.
///
/// `search_path` is left alone: names without a schema in the settings are looked up in the role's own path, and
/// every function of ours pins its own.
pub(super) fn options(statement_timeout_s: u64) -> String {
    let settings = [
        // The claiming statements count on seeing what was committed while they waited; a site may have set
        // another level for the whole database.
        r"default_transaction_isolation=read\ committed".to_owned(),
        // Deletion and mark travel in one transaction, so a crash that loses it leaves the request pending.
        "synchronous_commit=off".to_owned(),
        // A query goes on in the server when the daemon gives up on it, and holds its locks.
        format!("statement_timeout={statement_timeout_s}s"),
        // Below deadlock_timeout, which is 1 s by default: the daemon gives way before the server looks for a
        // deadlock and picks the app as its victim.
        "lock_timeout=400ms".to_owned(),
        // A daemon that is stopped, or cut off, in the middle of a transaction must not keep the app's rows locked,
        // nor revocations waiting for that transaction. Between two statements of ours there are milliseconds.
        "idle_in_transaction_session_timeout=5s".to_owned(),
        // After a bulk change, statistics still say that our tables are empty, and reading one of them whole for
        // each of a thousand rows looks cheap. Everything that the daemon asks has an index.
        "enable_seqscan=off".to_owned(),
        // It counts the penalty for what is off as a cost that compiling might save.
        "jit=off".to_owned(),
        // Times go out as text and come back: another style of the role's own may not read what it has written.
        "datestyle=ISO".to_owned(),
        // Row security, where a site has it, has to fail here rather than hide sessions.
        "row_security=off".to_owned(),
        // Notices are for people, and the driver would hand each of them to the log.
        "client_min_messages=warning".to_owned(),
    ];
    settings.map(|setting| format!("-c {setting}")).join(" ")
}

/// What the listening connection has on top: the server ends it when it has heard nothing for this long.
pub(super) fn idle_option(at_most: Duration) -> String {
    format!("-c idle_session_timeout={}", at_most.as_millis())
}
