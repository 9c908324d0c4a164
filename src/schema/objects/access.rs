//! What it takes to end a session beside names, columns and types: rights for the role that the functions run as and
//! for the daemon's, and rows that row security does not hide.

use tokio_postgres::{Client, Row};

use super::{duties::Duties, functions, rights::DAEMON_ROLE};
use crate::{
    connection,
    schema::{Error, Site, Table, site::template::quote_identifier},
    settings,
};

/// Everything that is missing. When a table gets another owner, the old owner's rights are lost without notice.
pub(in crate::schema) async fn faults(
    client: &Client,
    site: &Site,
    settings: &settings::Site,
) -> Result<Vec<Error>, Error> {
    let mut faults = of_functions(client, site).await?;
    faults.extend(own_settings(client).await?);
    let missing = functions::missing(client).await?;
    faults.extend(missing.into_iter().map(|name| Error::NoFunction { name }));
    if let Some(role) = functions::in_force(client, DAEMON_ROLE).await? {
        faults.extend(of_daemon(client, Some(&role), settings).await?);
    }
    Ok(faults)
}

/// Our settings that have been set permanently. `session_reaper.rehash` set like that switches everything off.
async fn own_settings(client: &Client) -> Result<Vec<Error>, Error> {
    let rows = client
        .query(include_str!("access/own_settings.sql"), &[])
        .await?;
    let fault = |row: &Row| Error::OwnSetting {
        name: row.get(0),
        for_whom: row.get(1),
    };
    Ok(rows.iter().map(fault).collect())
}

/// For each role that our functions run as, and each table that they touch.
async fn of_functions(client: &Client, site: &Site) -> Result<Vec<Error>, Error> {
    let ended = "select,update,delete";
    // Locking a row for a foreign key's sake needs the right to update it.
    let tables = [(&site.sessions, ended), (&site.users, "select,update")];
    let cache = site.cache.iter().map(|table| (table, ended));
    let mut faults = Vec::new();
    for (table, needed) in tables.into_iter().chain(cache) {
        let rows = client
            .query(
                include_str!("access/of_functions.sql"),
                &[&table.oid, &needed],
            )
            .await?;
        faults.extend(rows.iter().flat_map(|row| complain(row, table)));
    }
    Ok(faults)
}

fn complain(row: &Row, table: &Table) -> Vec<Error> {
    let role: String = row.get(0);
    let mut faults = Vec::new();
    if row.get(1) {
        faults.push(Error::NoUsage {
            role: role.clone(),
            schema: table.schema.clone(),
            quoted: quote_identifier(&table.schema),
        });
    }
    if let Some(rights) = row.get(2) {
        faults.push(Error::NoRight {
            role: role.clone(),
            rights,
            table: table.to_string(),
            quoted: table.quoted(),
        });
    }
    if row.get(3) {
        let table = table.to_string();
        faults.push(Error::HiddenRows { role, table });
    }
    faults
}

/// What a daemon that connects as this role, or as the one that asks, has no right to do with our objects.
pub async fn of_daemon(
    client: &Client,
    role: Option<&str>,
    settings: &settings::Site,
) -> Result<Option<Error>, connection::Error> {
    let duties = Duties::of(settings);
    let (tables, needed): (Vec<&str>, Vec<&str>) = duties.tables.into_iter().unzip();
    let row = client
        .query_opt(
            include_str!("access/of_daemon.sql"),
            &[&role, &tables, &needed, &duties.functions],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let missing: Vec<String> = row.get(1);
    Ok(missing.first().map(|first| Error::DaemonRight {
        role: row.get(0),
        first: first.clone(),
        others: missing.len() - 1,
    }))
}
