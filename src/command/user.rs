//! Which user is meant: the key as it stands in the user table, or what people call them.

use tokio_postgres::Client;

use super::{Failure, arguments::User};
use crate::{
    connection::{Error, Target},
    process::shutdown::Stop,
    schema::{self, Site, quote_identifier},
    settings::Settings,
    worker::passing::past_locks,
};

/// A connection to a database in which session-reaper is installed; the site may be paused.
pub async fn connect(target: &Target) -> Result<Client, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    past_locks(&Stop::default(), async || schema::installed(&client).await).await?;
    Ok(client)
}

/// The user's key. No user by that name is an error, which names who may have been meant.
pub async fn find(client: &Client, settings: &Settings, given: &User) -> Result<String, Failure> {
    if given.by.is_none() && exists(client, &given.user).await? {
        return Ok(given.user.clone());
    }
    let check = async || schema::check(client, &settings.site).await;
    let site = past_locks(&Stop::default(), check).await?;
    match &given.by {
        Some(column) => {
            let found = look_up(client, &site, column, &given.user).await?;
            found.ok_or_else(|| nobody(&given.user, ""))
        }
        None => {
            let advice = advise(client, settings, &site, &given.user).await;
            Err(nobody(&given.user, &advice))
        }
    }
}

/// Only a hint: a role without the right to read names, or a site without such a column, gets a general one.
async fn advise(client: &Client, settings: &Settings, site: &Site, given: &str) -> String {
    for column in &settings.site.login_columns {
        if let Ok(Some(key)) = look_up(client, site, column, given).await {
            return format!(
                ": did you mean user {key}, whose {column} that is? Give the key, or --by {column}"
            );
        }
    }
    ": give the key as it stands in the user table, or name the column with --by".to_owned()
}

/// For a user who has just been deleted.
pub fn gone(user: &str) -> Failure {
    nobody(user, "")
}

fn nobody(user: &str, advice: &str) -> Failure {
    Failure::Other(anyhow::anyhow!("there is no user {user}{advice}"))
}

/// Two who share a name are an error, since one of them would be logged out for the other.
async fn look_up(
    client: &Client,
    site: &Site,
    column: &str,
    value: &str,
) -> Result<Option<String>, Failure> {
    let column = schema::user_column(client, site, column).await?;
    let (users, key) = (site.users.quoted(), quote_identifier(&site.user_key.name));
    let statement = format!(
        "-- command::user::look_up
        select u.{key}::text from {users} u where u.{}::text = $1 limit 2",
        quote_identifier(&column.name)
    );
    // No text of PostgreSQL contains NUL; the driver would fail on it.
    if value.contains('\0') {
        return Ok(None);
    }
    let rows = client
        .query(&statement, &[&value])
        .await
        .map_err(Error::from)?;
    if rows.len() > 1 {
        return Err(Failure::Other(anyhow::anyhow!(
            "several users have this {}: give the key of the one that you mean",
            column.name
        )));
    }
    Ok(rows.first().map(|row| row.get(0)))
}

async fn exists(client: &Client, key: &str) -> Result<bool, Error> {
    if key.contains('\0') {
        return Ok(false);
    }
    let statement = "-- command::user::exists
        select session_reaper.find_user($1) is not null";
    Ok(client.query_one(statement, &[&key]).await?.get(0))
}
