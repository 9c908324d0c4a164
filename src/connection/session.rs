//! What every connection of the daemon starts with, whether it is pooled or listens.

use std::pin::pin;

use tokio_postgres::Client;

use super::Connection;

/// The statements, whose only variable part is a number.
///
/// `search_path` is left alone: names without a schema in the settings are looked up in the role's own path, and
/// every function of ours pins its own.
pub(super) fn statements(statement_timeout_s: u64) -> String {
    let statements = [
        // The claiming statements count on seeing what was committed while they waited; a site may have set
        // another level for the whole database.
        "set default_transaction_isolation = 'read committed'".to_owned(),
        // Deletion and mark travel in one transaction, so a crash that loses it leaves the request pending.
        "set synchronous_commit = off".to_owned(),
        // A query goes on in the server when the daemon gives up on it, and holds its locks.
        format!("set statement_timeout = '{statement_timeout_s}s'"),
        // Below deadlock_timeout, which is 1 s by default: the daemon gives way before the server looks for a
        // deadlock and picks the app as its victim.
        "set lock_timeout = '400ms'".to_owned(),
        // A daemon that is stopped, or cut off, in the middle of a transaction must not keep the app's rows locked,
        // nor revocations waiting for that transaction. Between two statements of ours there are milliseconds.
        "set idle_in_transaction_session_timeout = '5s'".to_owned(),
        // After a bulk change, statistics still say that our tables are empty, and reading one of them whole for
        // each of a thousand rows looks cheap. Everything that the daemon asks has an index.
        "set enable_seqscan = off".to_owned(),
        // It counts the penalty for what is off as a cost that compiling might save.
        "set jit = off".to_owned(),
        // Times go out as text and come back: another style of the role's own may not read what it has written.
        "set datestyle = 'ISO'".to_owned(),
        // Row security, where a site has it, has to fail here rather than hide sessions.
        "set row_security = off".to_owned(),
        // Notices are for people, and the driver would hand each of them to the log.
        "set client_min_messages = warning".to_owned(),
    ];
    format!("/* session::set_up */ {}", statements.join("; "))
}

/// Sends the statements over a connection that nobody drives yet. It is not spawned for that: dropped half-way,
/// a task of its own would go on talking to a server that does not answer.
pub(super) async fn set_up(
    client: &Client,
    connection: &mut Connection,
    statements: &str,
) -> Result<(), tokio_postgres::Error> {
    let mut done = pin!(client.batch_execute(statements));
    tokio::select! {
        result = &mut done => result,
        ended = connection => {
            ended?;
            // It ended without a reason, and the statement knows that it will never be answered.
            done.await
        }
    }
}
