//! Rows that take long, and a daemon that soon runs out of time for them.

use session_reaper::{connection::Target, settings::Database as DatabaseSettings};

/// For commands, whose statements may take a second then.
pub const A_SECOND: (&str, &str) = ("SESSION_REAPER_DATABASE_STATEMENT_TIMEOUT_S", "1");

/// The same for a daemon in this process.
pub fn target_of_a_second(url: &str) -> Target {
    super::resolve(
        url,
        DatabaseSettings {
            statement_timeout_s: 1,
            ..DatabaseSettings::default()
        },
    )
}

/// Each row takes 20 ms: what a batch would need is a multiple of the time-out.
pub fn slow(what: &str, table: &str) -> String {
    slow_where(what, table, "true", 0.02)
}

/// The same for some of the rows, and so many seconds.
pub fn slow_where(what: &str, table: &str, which: &str, seconds: f64) -> String {
    format!(
        "create function slow() returns trigger language plpgsql as $$
        begin
            perform pg_sleep({seconds});
            return case when tg_op = 'DELETE' then old else new end;
        end $$;
        create trigger slow before {what} on {table} for each row when ({which}) execute function slow()"
    )
}
