//! Rows that fail whatever statement touches them. None may hold up any other.
//!
//! Data in no encoding at all; users and sessions that a query of their table finds and a foreign key to it does not,
//! because they stand in a table that inherits from it; and sessions that a trigger of the site's will not let go.

use tokio_postgres::{Client, Error};

use crate::faults::Chaos;

/// What the site's trigger raises.
pub const HELD: &str = "HH001";
/// Users who stand in another table than the others.
pub const GUESTS: std::ops::Range<i32> = 900_001..900_006;

/// Creates what they are made of.
pub async fn create(client: &Client) -> Result<(), Error> {
    let tables = format!(
        "create table history_guest () inherits (auth_user);
        insert into history_guest
        select id, 'gen:0', null, false, 'guest' || id, '', '', '', false, true, now()
        from generate_series({}, {}) id;
        create table history_archive () inherits (django_session);
        create table history_held (session_key varchar(40) primary key);
        grant select on history_held to public;
        create function history_hold() returns trigger language plpgsql as $$
        begin
            if exists (select from public.history_held h where h.session_key = old.session_key) then
                raise exception 'this session is held' using errcode = '{HELD}';
            end if;
            return old;
        end $$;
        create trigger history_hold before delete on django_session for each row execute function history_hold()",
        GUESTS.start,
        GUESTS.end - 1
    );
    client.batch_execute(&tables).await
}

impl Chaos {
    /// Holds some sessions for a while.
    pub async fn hold_rows(&mut self) {
        let client = self.world.connect().await;
        let hold = "insert into history_held
            select session_key from django_session order by random() limit 5
            on conflict do nothing";
        client.batch_execute(hold).await.expect("a table");
        self.note("sessions held by a trigger of the site's");
        self.wait(300..4000).await;
        let let_go = "delete from history_held";
        client.batch_execute(let_go).await.expect("a table");
    }
}
