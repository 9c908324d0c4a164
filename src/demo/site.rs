//! A site with Django's tables, users and sessions, and what its visitors do.
//!
//! Everything is set-based, because the larger scenes of the demo want thousands of sessions in no time.

mod session;

use tokio_postgres::{Client, Error, GenericClient};

pub use session::password_hash;

// Django's SESSION_COOKIE_AGE.
const SESSION_AGE_S: f64 = 1_209_600.0;

/// Creates Django's tables.
pub async fn create_tables(client: &Client) -> Result<(), Error> {
    client.batch_execute(include_str!("site/tables.sql")).await
}

/// Signs users up and returns their ids, in the order of the names.
pub async fn sign_up(client: &impl GenericClient, names: &[String]) -> Result<Vec<i32>, Error> {
    let hashes: Vec<String> = names.iter().map(|_| password_hash()).collect();
    let rows = client
        .query(
            "-- demo::site::sign_up
             insert into auth_user
                 (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
             select u.hash, false, u.name, initcap(u.name), '', u.name || '@example.com', false, true, now()
             from unnest($1::text[], $2::text[]) with ordinality as u (name, hash, position)
             order by u.position
             returning id",
            &[/* name */ &names, /* hash */ &hashes],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Logs users in, each in a session of their own, and returns the keys. A user can be given more than once.
///
/// The link is what an app's `user_logged_in` receiver inserts, in the transaction that logs in; where the
/// caller's client is a transaction, it is that one.
pub async fn log_in(client: &impl GenericClient, users: &[i32]) -> Result<Vec<String>, Error> {
    let data: Vec<String> = users.iter().map(|id| session::of_user(*id)).collect();
    let keys = open(client, &data, SESSION_AGE_S).await?;
    client
        .execute(
            "-- demo::site::log_in
             insert into session_reaper.user_session (session_key, user_id)
             select * from unnest($1::text[], $2::int[])",
            &[/* session_key */ &keys, /* user_id */ &users],
        )
        .await?;
    Ok(keys)
}

/// Lets visitors come who do not log in.
pub async fn visit(client: &impl GenericClient, visitors: usize) -> Result<Vec<String>, Error> {
    let data: Vec<String> = std::iter::repeat_with(session::of_nobody)
        .take(visitors)
        .collect();
    open(client, &data, SESSION_AGE_S).await
}

/// Leaves sessions behind that expired an hour ago, as they gather where nobody runs `clearsessions`.
pub async fn abandon(client: &impl GenericClient, sessions: usize) -> Result<Vec<String>, Error> {
    let data: Vec<String> = std::iter::repeat_with(session::of_nobody)
        .take(sessions)
        .collect();
    open(client, &data, -3600.0).await
}

async fn open(
    client: &impl GenericClient,
    data: &[String],
    expires_in_s: f64,
) -> Result<Vec<String>, Error> {
    let keys: Vec<String> = data.iter().map(|_| session::key()).collect();
    client
        .execute(
            "-- demo::site::open
             insert into django_session (session_key, session_data, expire_date)
             select s.key, s.data, now() + make_interval(secs => $3)
             from unnest($1::text[], $2::text[]) as s (key, data)",
            &[
                /* session_key */ &keys,
                /* session_data */ &data,
                /* secs */ &expires_in_s,
            ],
        )
        .await?;
    Ok(keys)
}

/// Gives a user a new password, as any program with a database connection can.
pub async fn change_password(client: &impl GenericClient, user: i32) -> Result<(), Error> {
    client
        .execute(
            "-- demo::site::change_password
             update auth_user set password = $1 where id = $2",
            &[/* password */ &password_hash(), /* id */ &user],
        )
        .await?;
    Ok(())
}

/// How many of these sessions exist.
pub async fn count(client: &impl GenericClient, keys: &[String]) -> Result<usize, Error> {
    let row = client
        .query_one(
            "-- demo::site::count
             select count(*) from django_session where session_key = any ($1)",
            &[/* session_key */ &keys],
        )
        .await?;
    Ok(row.get::<_, i64>(0).unsigned_abs() as usize)
}

#[cfg(test)]
mod tests;
