//! Keys that the site can no longer have, because its type has shrunk again. If our rows kept them, a pause could not
//! end, and the site would stay open for the sake of a user or a session that cannot exist.

use crate::schema::site::template::quote_identifier;

const EVICTIONS: &str = "session_reaper.pending_eviction";

/// Takes out of our tables what the type could not hold. The record of a user's revocations stays, without the user.
///
/// With a cache, `pending_eviction` is left alone: the cache's entry is no row of the site's, and may still answer
/// under such a key (P5).
pub(super) fn forget(
    ours: &str,
    sql_type: &str,
    tables: &[(String, u32)],
    is_cached: bool,
) -> String {
    let column = quote_identifier(ours);
    let forget = tables
        .iter()
        .filter(|(table, _)| !(is_cached && ours == "session_key" && table == EVICTIONS))
        .map(|(table, _)| forget_in(table, ours, &column));
    format!(
        "create function session_reaper.is_key(given text)
        returns boolean
        language plpgsql
        set search_path = pg_catalog, pg_temp
        as $is_key$
        declare
            key {sql_type};
        begin
            key := given;
            return true;
        exception when data_exception or check_violation then
            return false;
        end
        $is_key$;
        {}
        drop function session_reaper.is_key(text);",
        forget.collect::<String>()
    )
}

fn forget_in(table: &str, ours: &str, column: &str) -> String {
    let unfit = format!("where not session_reaper.is_key({column}::text);");
    match (table, ours) {
        ("session_reaper.revocation", _) => {
            format!("update {table} set scope = 'session', {column} = null {unfit}")
        }
        (EVICTIONS | "session_reaper.revoked_key", "user_id") => {
            format!("update {table} set {column} = null {unfit}")
        }
        _ => format!("delete from {table} {unfit}"),
    }
}
