//! The site as it is set up: its database, its roles, its tables.

use std::sync::Mutex;

use session_reaper::demo::{server::Server, site};
use tokio_postgres::{Client, NoTls};

use crate::{
    options::{Options, Trouble},
    poison, standby,
};

/// Who connects as whom, to which database.
pub struct Logins {
    superuser: Mutex<String>,
    database: &'static str,
    has_roles: bool,
}

const TABLES: &str = "
    create table mfa_device (user_id integer primary key, secret text not null);
    create table history_marker (id bigint primary key, generation bigint, xid text not null default pg_current_xact_id()::text);
    create function history_veto() returns trigger language plpgsql as $$
    begin
        return case when current_setting('history.veto', true) = 'on' then null else old end;
    end $$;
    create trigger history_veto before delete on auth_user for each row execute function history_veto();";

/// The role that the site connects as is subject to row security, and may see everything while that is on.
const ROLES: &str = "
    grant select, insert, update, delete on all tables in schema public to app;
    create policy app on django_session to app using (true) with check (true)";

impl Logins {
    /// Superusers everywhere, unless rights are what the run is about.
    pub fn of(server: &Server, options: &Options) -> Self {
        Self {
            superuser: Mutex::new(server.url(options.database())),
            database: options.database(),
            has_roles: options.has(Trouble::Rights),
        }
    }

    /// From now on the site is over there.
    pub fn move_to(&self, server: &Server) {
        *self.superuser.lock().unwrap() = server.url(self.database);
    }

    /// Who looks on.
    pub fn superuser(&self) -> String {
        self.superuser.lock().unwrap().clone()
    }

    /// Who migrates.
    pub fn owner(&self) -> String {
        self.of_role("site_owner")
    }

    /// The site's clients.
    pub fn app(&self) -> String {
        self.of_role("app")
    }

    /// The site's clients, where they only read.
    pub fn app_on_standby(&self) -> String {
        let app = self.app();
        let (before, rest) = app.split_once("port=").expect("a server's address");
        let after = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        format!("{before}port={}{after}", standby::PORT)
    }

    /// The daemons, whose address is another one.
    pub fn daemon(&self) -> &'static str {
        if self.has_roles { "reaper" } else { "postgres" }
    }

    fn of_role(&self, role: &str) -> String {
        if !self.has_roles {
            return self.superuser();
        }
        self.superuser()
            .replace("user=postgres", &format!("user={role}"))
    }
}

/// An empty database, as the run wants it.
pub async fn create_database(server: &Server, options: &Options) {
    let client = connect(&server.url("postgres")).await;
    if options.has(Trouble::Poison) {
        let create = "create database sql_ascii encoding 'SQL_ASCII' template template0";
        client.batch_execute(create).await.unwrap();
    }
    if options.has(Trouble::Rights) {
        let roles = format!(
            "create role site_owner login; create role app login; create role reaper login;
            alter database {} owner to site_owner",
            options.database()
        );
        client.batch_execute(&roles).await.unwrap();
    }
}

/// The site's tables, in an empty database.
pub async fn create_tables(logins: &Logins, options: &Options) {
    let client = connect(&logins.owner()).await;
    site::create_tables(&client).await.unwrap();
    client.batch_execute(TABLES).await.unwrap();
    if options.has(Trouble::Poison) {
        poison::create(&client).await.unwrap();
    }
    if options.has(Trouble::Rights) {
        client.batch_execute(ROLES).await.unwrap();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
