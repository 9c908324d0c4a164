//! A site of Express: connect-pg-simple's sessions, whose users stand at a path in JSON.

use session_reaper::{
    demo::server::Server,
    settings::{self, Environment, Settings},
};

use crate::stage::{Database, program::SettingsFile};

/// A site of connect-pg-simple's with two members, before the installation.
pub async fn express(server: &Server) -> (Database, Settings) {
    let database = Database::create_empty(server).await;
    database
        .batch_execute(include_str!("../site/presets/connect-pg-simple.sql"))
        .await
        .unwrap();
    let members = "insert into members values (1, 'old'), (2, 'old')";
    database.batch_execute(members).await.unwrap();
    (database, settings(""))
}

/// What its operator says, and more.
pub fn settings(site: &str) -> Settings {
    let text = format!(
        "[site]\npreset = \"connect-pg-simple\"\nuser_table = \"members\"\npassword_column = \"pw\"\ntime_zone = \"UTC\"\n{site}"
    );
    let file = SettingsFile::new(&text);
    let path = Some(file.path().as_ref());
    let mut settings = settings::load(path, &Environment::default()).unwrap();
    // Nobody writes sessions back here.
    settings.revoke.write_back_grace_s = 0;
    settings
}

/// Opens a session with this in it.
pub async fn open(database: &Database, sid: &str, sess: &str) {
    let insert = "insert into session values ($1, $2::text::json, (now() + interval '1 day') at time zone 'UTC')";
    database.execute(insert, &[&sid, &sess]).await.unwrap();
}

/// Writes something else into it.
pub async fn save(database: &Database, sid: &str, sess: &str) {
    let update = "update session set sess = $2::text::json where sid = $1";
    let saved = database.execute(update, &[&sid, &sess]).await.unwrap();
    assert_eq!(saved, 1);
}

/// Gives a member a new password.
pub async fn change_password(database: &Database, member: i64) {
    let change = "update members set pw = md5(random()::text) where id = $1";
    database.execute(change, &[&member]).await.unwrap();
}

/// The sessions that are there.
pub async fn left(database: &Database) -> String {
    let sessions = "select coalesce(string_agg(sid, ' ' order by sid), '') from session";
    database.query_one(sessions, &[]).await.unwrap().get(0)
}

/// Whose the sessions are.
pub async fn links(database: &Database) -> String {
    let links =
        "select coalesce(string_agg(session_key || '=' || user_id, ' ' order by session_key), '')
        from session_reaper.user_session";
    database.query_one(links, &[]).await.unwrap().get(0)
}
