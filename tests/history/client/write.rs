//! What is written about users: some of it ends their sessions, and some of it must not.

use tokio_postgres::Row;

use super::Visitor;
use crate::{ledger::Cause, options::More};

/// What is written. Which sessions each ends is said in `site.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Password,
    /// The hash becomes another one of the same password, in a transaction that says so.
    Rehash,
    /// Whoever was active is not any more, and the other way round; only the former ends sessions.
    Active,
    /// Is watched with the policy that ends nothing.
    Email,
    /// The secret of a second factor becomes another one.
    ChangeFactor,
    RemoveFactor,
    /// Is not watched.
    AddFactor,
}

impl Write {
    /// Returns for each user what `Done` is made of.
    pub(super) fn statement(self) -> &'static str {
        match self {
            Self::Password => {
                "update auth_user set password = 'gen:' || substr(password, 5)::bigint + 1
                where id = any ($1)
                returning id, substr(password, 5)::bigint - 1, true, pg_current_xact_id()::text"
            }
            // The same number with a zero before it, or without.
            Self::Rehash => {
                "update auth_user
                set password = 'gen:' || case when password like 'gen:0_%' then '' else '0' end
                    || substr(password, 5)::bigint
                where id = any ($1)
                returning id, 0::bigint, false, pg_current_xact_id()::text"
            }
            Self::Active => {
                "update auth_user set is_active = not is_active
                where id = any ($1)
                returning id, 0::bigint, not is_active, pg_current_xact_id()::text"
            }
            Self::Email => {
                "update auth_user set email = random() || '@example.com'
                where id = any ($1)
                returning id, 0::bigint, false, pg_current_xact_id()::text"
            }
            Self::ChangeFactor => {
                "update mfa_device set secret = random()::text
                where user_id = any ($1)
                returning user_id, 0::bigint, true, pg_current_xact_id()::text"
            }
            Self::RemoveFactor => {
                "delete from mfa_device
                where user_id = any ($1)
                returning user_id, 0::bigint, true, pg_current_xact_id()::text"
            }
            Self::AddFactor => {
                "insert into mfa_device
                select unnest($1::integer[]), random()::text
                on conflict do nothing
                returning user_id, 0::bigint, false, pg_current_xact_id()::text"
            }
        }
    }

    /// What it is where it counts as a change.
    fn cause(self, generation: i64) -> Option<Cause> {
        match self {
            Self::Password => Some(Cause::Password(generation)),
            Self::Active => Some(Cause::Deactivated),
            Self::ChangeFactor => Some(Cause::FactorChanged),
            Self::RemoveFactor => Some(Cause::FactorRemoved),
            Self::Rehash | Self::Email | Self::AddFactor => None,
        }
    }

    /// What it is called where it does not.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Rehash => "rehash",
            Self::Active => "activated",
            Self::Email => "e-mail",
            Self::ChangeFactor => "factor changed",
            Self::RemoveFactor => "factor removed",
            Self::AddFactor => "factor added",
        }
    }
}

/// What was written about one user, in a transaction that may still be open.
pub(super) struct Done {
    pub(super) write: Write,
    pub(super) user: i32,
    pub(super) xid: String,
    /// What the schema has to take it for; nothing, if it must end no session.
    pub(super) cause: Option<Cause>,
}

impl Done {
    pub(super) fn of(write: Write, row: &Row) -> Self {
        let counts: bool = row.get(2);
        Self {
            write,
            user: row.get(0),
            xid: row.get(3),
            cause: write.cause(row.get(1)).filter(|_| counts),
        }
    }

    /// As its marker has it.
    pub(super) fn marked(write: Write, user: i32, generation: i64, xid: String) -> Self {
        Self {
            write,
            user,
            xid,
            cause: write.cause(generation),
        }
    }
}

impl Visitor {
    /// Mostly passwords.
    pub(super) fn draw_write(&mut self) -> Write {
        let more = self.world.options.more;
        if more == Some(More::Keeps) && self.chance(50) {
            return Write::Password;
        }
        let lowest = if more == Some(More::Writes) { 55 } else { 0 };
        match self.rng.u32(lowest..100) {
            0..60 => Write::Password,
            60..68 => Write::Rehash,
            68..80 => Write::Active,
            80..85 => Write::Email,
            85..90 => Write::ChangeFactor,
            90..95 => Write::RemoveFactor,
            _ => Write::AddFactor,
        }
    }
}
