//! The site's tables, as the catalog has them: what the operator named is looked up, never trusted.

mod canary;
pub(crate) mod catalog;
pub(crate) mod expiry;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod user_source;
pub(crate) mod watch;

use tokio_postgres::GenericClient;

use super::Error;
use crate::settings::{self, Cached};
use catalog::{column, primary_key, require_plain_equality, require_unique, table};
use expiry::Expiry;
use table::{Column, Table, text_as_bytes};
use template::{Variables, quote_identifier, quote_literal};
use user_source::UserSource;
use watch::Watch;

/// The names and types that everything else is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The table of sessions.
    pub sessions: Table,
    /// The column that identifies a session.
    pub session_key: Column,
    /// When a session expires; none if never.
    pub expires: Option<Expiry>,
    /// When a session was last used, where a separate column tells.
    pub used: Option<Expiry>,
    /// The table of users.
    pub users: Table,
    /// The column that identifies a user.
    pub user_key: Column,
    /// The column of the users' passwords, if they have one.
    pub password: Option<String>,
    /// The column of the users by which the policies distinguish them.
    pub policy_column: Option<String>,
    /// How the user of a session is found.
    pub user_source: UserSource,
    /// Size in bytes at which the queue of pending links takes nothing more.
    pub queue_limit_bytes: u64,
    /// What ends a user's sessions.
    pub watched: Vec<Watch>,
    /// Whether a cache beside the table has to forget deleted sessions.
    pub is_cached: bool,
    /// The cache, where that is a table itself.
    pub cache: Option<Table>,
    /// The user whose session the canary ends, if it opens one.
    pub canary_user: Option<String>,
}

/// What PostgreSQL is built with nearly everywhere. Where it is not, connections ask later or sooner whether the queue is
/// full, and get the same answer.
const PAGE_BYTES: u64 = 8192;

/// Reopens a settled revocation: the assignments of "update session_reaper.revocation set".
const REOPENED: &str = "state = 'requested', horizon_id = null, settled_at = null, next_attempt_at = '-infinity', attempts = 0";

impl Site {
    /// Looks the settings up in the catalog.
    ///
    /// # Errors
    /// A table or column that does not exist, with the nearest name that does; a session key without a unique index; an
    /// expiry column that needs a zone or a unit that is not set; data of another type than its reader takes.
    pub async fn inspect(
        client: &impl GenericClient,
        settings: &settings::Site,
    ) -> Result<Self, Error> {
        let sessions = table(client, "site.session_table", &settings.session_table).await?;
        let users = table(client, "site.user_table", &settings.user_table).await?;
        let user_key = match &settings.user_key {
            Some(name) => column(client, "site.user_key", &users, name).await?,
            None => primary_key(client, &users).await?,
        };
        let session_key =
            column(client, "site.session_key", &sessions, &settings.session_key).await?;
        require_unique(client, &sessions, &session_key).await?;
        require_unique(client, &users, &user_key).await?;
        require_plain_equality(client, "site.session_key", &sessions, &session_key).await?;
        require_plain_equality(client, "site.user_key", &users, &user_key).await?;
        let user_source = UserSource::find(client, settings, &sessions).await?;
        let expires = Expiry::find(client, settings, &sessions).await?;
        let used = Expiry::find_use(client, settings, &sessions).await?;
        let watched = Watch::all(client, settings, &users, &user_key).await?;
        if let Some(name) = &settings.policy_column {
            column(client, "site.policy_column", &users, name).await?;
        }
        let cache = match &settings.cached {
            Cached::InTable(name) => Some(cache_table(client, name).await?),
            Cached::Unsaid | Cached::No | Cached::Outside => None,
        };
        Ok(Self {
            sessions,
            session_key,
            expires,
            used,
            users,
            user_key,
            password: settings.password_column.clone(),
            policy_column: settings.policy_column.clone(),
            user_source,
            queue_limit_bytes: u64::from(settings.queue_mb) << 20,
            watched,
            is_cached: matches!(settings.cached, Cached::Outside | Cached::InTable(_)),
            cache,
            canary_user: settings.canary_user.clone(),
        })
    }

    /// What the variables in `sql/` stand for.
    pub fn variables(&self) -> Variables {
        let mut variables = self.names();
        variables.extend(Expiry::variables(self.expires.as_ref(), self.used.as_ref()));
        variables.extend(self.user_source.variables());
        variables.extend(canary::variables(self));
        variables.insert("password", of_user(self.password.as_ref()));
        variables.insert("policy_value", of_user(self.policy_column.as_ref()));
        variables.insert("queue_limit_bytes", self.queue_limit_bytes.to_string());
        variables.insert("reopened", REOPENED.to_owned());
        variables.insert("evicts", self.is_cached.to_string());
        let cache = self
            .cache
            .as_ref()
            .map(|table| quote_literal(&table.quoted()));
        variables.insert("cache_relation", cache.unwrap_or_else(|| "null".to_owned()));
        let first_beyond = format!("({},0)", self.queue_limit_bytes / PAGE_BYTES);
        variables.insert("queue_limit_place", first_beyond);
        variables
    }

    /// A statement with this site's names in it, in the syntax of `sql/`.
    pub(crate) fn render(&self, statement: &str) -> String {
        template::render(statement, &self.variables())
    }

    /// The condition under which a session `s` has expired, in SQL.
    pub fn is_expired(&self) -> String {
        Expiry::condition(self.expires.as_ref())
    }

    /// The type of the column that says when a session expires.
    pub fn expires_type(&self) -> String {
        Expiry::sql_type(self.expires.as_ref())
    }

    /// The names and types of keys and tables: what the shape of our own tables depends on.
    pub(in crate::schema) fn names(&self) -> Variables {
        Variables::from([
            ("session_schema", self.sessions.schema.clone()),
            ("session_table", self.sessions.name.clone()),
            ("session_relation", quote_literal(&self.sessions.quoted())),
            ("session_key", self.session_key.name.clone()),
            ("session_key_type", self.session_key.sql_type.clone()),
            ("session_key_base_type", self.session_key.base_type.clone()),
            ("session_key_text", self.session_key.as_text("session_key")),
            (
                "session_key_bytes",
                self.session_key.as_bytes("session_key"),
            ),
            ("keep_session_bytes", text_as_bytes("keep_session")),
            ("link_key_bytes", self.session_key.as_bytes("l.session_key")),
            ("user_schema", self.users.schema.clone()),
            ("user_table", self.users.name.clone()),
            ("user_key", self.user_key.name.clone()),
            ("user_key_type", self.user_key.base_type.clone()),
            ("user_key_collation", self.user_key.collation.clone()),
        ])
    }

    /// The session settings through which the migrations learn the names.
    pub fn migration_settings(&self) -> [(&'static str, String); 4] {
        [
            ("session_reaper.session_table", self.sessions.quoted()),
            ("session_reaper.session_key", self.session_key.name.clone()),
            ("session_reaper.user_table", self.users.quoted()),
            ("session_reaper.user_key", self.user_key.name.clone()),
        ]
    }
}

/// A column of a user "u" as text, if one is named.
fn of_user(column: Option<&String>) -> String {
    column.map_or_else(
        || "null::text".to_owned(),
        |name| format!("u.{}::text", quote_identifier(name)),
    )
}

/// Accepts only a table that Django's database cache could have made, because its entries are going to be deleted.
async fn cache_table(client: &impl GenericClient, name: &str) -> Result<Table, Error> {
    let table = table(client, "cache.table", name).await?;
    column(client, "cache.table", &table, "cache_key").await?;
    Ok(table)
}
