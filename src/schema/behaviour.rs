//! What the database does: the files of `sql/`, applied where their text differs from what is in force.

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::{Error, Site, template::render};

/// In the order in which they need each other.
const FILES: [(&str, &str); 17] = [
    ("verdict", include_str!("../../sql/verdict.sql")),
    ("serving", include_str!("../../sql/serving.sql")),
    ("unread", include_str!("../../sql/unread.sql")),
    ("make_links", include_str!("../../sql/make_links.sql")),
    ("drain", include_str!("../../sql/drain.sql")),
    ("page", include_str!("../../sql/page.sql")),
    ("evict", include_str!("../../sql/evict.sql")),
    ("condemned", include_str!("../../sql/condemned.sql")),
    ("sweep", include_str!("../../sql/sweep.sql")),
    ("end_inline", include_str!("../../sql/end_inline.sql")),
    ("purge", include_str!("../../sql/purge.sql")),
    ("change", include_str!("../../sql/change.sql")),
    ("revoke", include_str!("../../sql/revoke.sql")),
    ("hashes", include_str!("../../sql/hashes.sql")),
    ("link", include_str!("../../sql/link.sql")),
    ("users", include_str!("../../sql/users.sql")),
    ("pause", include_str!("../../sql/pause.sql")),
];

/// The last one names columns of the site's tables in a view.
const VIEW: (&str, &str) = ("live_session", include_str!("../../sql/live_session.sql"));

/// One file with this site's names in it.
struct File {
    name: &'static str,
    text: String,
}

impl File {
    fn digest(&self) -> String {
        digest(&self.text)
    }
}

/// SHA-256 in hex.
pub fn digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn files(site: &Site) -> impl Iterator<Item = File> {
    let variables = site.variables();
    FILES
        .into_iter()
        .chain([VIEW])
        .map(move |(name, text)| File {
            name,
            text: render(text, &variables),
        })
}

/// The view, which holds on to the tables that it was made over.
pub fn view(site: &Site) -> String {
    render(VIEW.1, &site.variables())
}

/// Applies each file that differs, in a transaction of its own; returns their names.
pub async fn apply(client: &mut Client, site: &Site) -> Result<Vec<&'static str>, Error> {
    let mut applied = Vec::new();
    for file in files(site) {
        if in_force(client, file.name).await?.as_deref() == Some(file.digest().as_str()) {
            continue;
        }
        let transaction = client.transaction().await?;
        transaction.batch_execute(&file.text).await?;
        remember(&transaction, file.name, &file.digest()).await?;
        transaction.commit().await?;
        applied.push(file.name);
    }
    Ok(applied)
}

/// What takes the place of every function, in one piece: a type in a signature has changed, so that `create or
/// replace` would leave the old function beside the new one, or fail. Trigger functions have no signature, and
/// triggers hold on to them. A digest is remembered with each file.
pub fn anew(site: &Site) -> String {
    let mut text = "
        do $$
        declare
            f pg_catalog.regprocedure;
        begin
            for f in
                select p.oid::pg_catalog.regprocedure
                from pg_catalog.pg_proc p
                where p.pronamespace = 'session_reaper'::pg_catalog.regnamespace
                  and p.prorettype <> 'trigger'::pg_catalog.regtype
            loop
                execute pg_catalog.format('drop function %s', f);
            end loop;
        end
        $$;"
    .to_owned();
    for file in files(site) {
        text.push_str(&file.text);
        text.push_str(&format!(
            "\n; insert into session_reaper.behaviour (name, digest) values ('{}', '{}')
            on conflict (name) do update set digest = excluded.digest, applied_at = now();\n",
            file.name,
            file.digest()
        ));
    }
    text
}

/// The files whose text in force is not this release's.
pub async fn differing(client: &Client, site: &Site) -> Result<Vec<&'static str>, Error> {
    let mut names = Vec::new();
    for file in files(site) {
        if in_force(client, file.name).await?.as_deref() != Some(file.digest().as_str()) {
            names.push(file.name);
        }
    }
    Ok(names)
}

/// The digest that was remembered under this name.
pub async fn in_force(client: &Client, name: &str) -> Result<Option<String>, Error> {
    let row = client
        .query_opt(
            "-- schema::behaviour::in_force
            select b.digest from session_reaper.behaviour b where b.name = $1",
            &[&name],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// Remembers what is in force under this name.
pub async fn remember(
    client: &impl tokio_postgres::GenericClient,
    name: &str,
    digest: &str,
) -> Result<(), Error> {
    client
        .execute(
            "-- schema::behaviour::remember
            insert into session_reaper.behaviour (name, digest)
            values ($1, $2)
            on conflict (name) do update set digest = excluded.digest, applied_at = now()",
            &[&name, &digest],
        )
        .await?;
    Ok(())
}
