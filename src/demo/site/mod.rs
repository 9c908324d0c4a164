//! A site with Django's tables, users and sessions, and what its visitors do.
//!
//! Everything is set-based, because the larger scenes of the demo want thousands of sessions in no time.

mod session;

use std::ops::Range;

use tokio_postgres::{Client, Error, GenericClient};

use session::password_hash;

const DAY_S: f64 = 86_400.0;

/// Creates Django's tables.
pub async fn create_tables(client: &Client) -> Result<(), Error> {
    client.batch_execute(include_str!("tables.sql")).await
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
    let keys = open(client, &data, 13.0 * DAY_S..14.0 * DAY_S).await?;
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
    open(client, &data, 13.0 * DAY_S..14.0 * DAY_S).await
}

/// Leaves sessions behind that expired within the last day, as they gather where nobody runs `clearsessions`.
pub async fn abandon(client: &impl GenericClient, sessions: usize) -> Result<Vec<String>, Error> {
    let data: Vec<String> = std::iter::repeat_with(session::of_nobody)
        .take(sessions)
        .collect();
    open(client, &data, -DAY_S..-3600.0).await
}

async fn open(
    client: &impl GenericClient,
    data: &[String],
    expires_in_s: Range<f64>,
) -> Result<Vec<String>, Error> {
    let keys: Vec<String> = data.iter().map(|_| session::key()).collect();
    client
        .execute(
            "-- demo::site::open
             insert into django_session (session_key, session_data, expire_date)
             select s.key, s.data, now() + make_interval(secs => $3::float8 + random() * ($4::float8 - $3))
             from unnest($1::text[], $2::text[]) as s (key, data)",
            &[
                /* session_key */ &keys,
                /* session_data */ &data,
                /* secs, from */ &expires_in_s.start,
                /* secs, to */ &expires_in_s.end,
            ],
        )
        .await?;
    Ok(keys)
}

/// Gives a user a new password.
pub async fn change_password(client: &impl GenericClient, user: i32) -> Result<(), Error> {
    change_passwords(client, &[user]).await
}

/// Gives users new passwords in one statement, as any program with a database connection can.
pub async fn change_passwords(client: &impl GenericClient, users: &[i32]) -> Result<(), Error> {
    let hashes: Vec<String> = users.iter().map(|_| password_hash()).collect();
    client
        .execute(
            "-- demo::site::change_passwords
             update auth_user u
             set password = n.hash
             from unnest($1::int[], $2::text[]) as n (id, hash)
             where u.id = n.id",
            &[/* id */ &users, /* password */ &hashes],
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
    Ok(whole(row.get(0)))
}

/// Whether any session has expired and is still there.
pub async fn has_expired(client: &impl GenericClient) -> Result<bool, Error> {
    let row = client
        .query_one(
            "-- demo::site::has_expired
             select exists (select from django_session where expire_date < now())",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// How many sessions have expired and are still there.
pub async fn count_expired(client: &impl GenericClient) -> Result<usize, Error> {
    let row = client
        .query_one(
            "-- demo::site::count_expired
             select count(*) from django_session where expire_date < now()",
            &[],
        )
        .await?;
    Ok(whole(row.get(0)))
}

/// A count as the database gives it: signed, but never negative.
pub fn whole(count: i64) -> usize {
    usize::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests;
