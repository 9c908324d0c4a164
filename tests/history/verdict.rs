//! The verdict on a run, after everything has come to rest.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use tokio_postgres::Client;

use crate::{
    ledger::{Books, Cause, Login, Micros},
    monitor::{self, tell},
    rules,
    world::World,
};

/// How long the daemons may take to settle everything once the clients have left.
const PATIENCE: Duration = Duration::from_secs(45);
/// The same where something was broken on purpose.
const IMPATIENCE: Duration = Duration::from_secs(3);
/// How much nearer than the grace a write-back has to be to count as one within it.
const MARGIN: Micros = 100_000;

/// What was found.
pub struct Verdict {
    pub survivors: Vec<String>,
    pub bystanders: Vec<String>,
    pub lost: Vec<String>,
    pub table: String,
}

impl Verdict {
    /// Waits until everything is settled, and judges.
    ///
    /// `complaints` are what else must not have happened.
    pub async fn reach(world: &World, complaints: &[String]) -> Self {
        let client = world.connect().await;
        let mut lost = unsettled(world, &client).await;
        lost.extend_from_slice(complaints);
        monitor::look(world, &client).await.unwrap();
        let found = revocations(&client).await;
        let present = sessions(&client).await;
        let books = world.ledger.books();
        lost.extend(not_asked_for(&books, &found));
        let mut survivors: Vec<String> = books.survivors.values().cloned().collect();
        survivors.extend(came_back(&books, &present, world.options.grace_s));
        let bystanders: Vec<String> = bystanders(&books).collect();
        let table = table(&books, &survivors, &bystanders, &lost);
        Self {
            survivors,
            bystanders,
            lost,
            table,
        }
    }
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.survivors.is_empty() && self.bystanders.is_empty() && self.lost.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table)?;
        for (what, stories) in [
            ("survivor", &self.survivors),
            ("bystander", &self.bystanders),
            ("lost", &self.lost),
        ] {
            for story in stories.iter().take(5) {
                writeln!(f, "{what}: {story}")?;
            }
        }
        Ok(())
    }
}

/// Revocations that never settle.
async fn unsettled(world: &World, client: &Client) -> Vec<String> {
    let patience = if world.options.sabotage.is_empty() {
        PATIENCE
    } else {
        IMPATIENCE
    };
    let deadline = Instant::now() + patience;
    loop {
        let rows = client
            .query(
                "select r.id, r.user_id, r.state, r.scope, r.attempts, r.last_error, r.horizon_id
                 from session_reaper.revocation r where r.state <> 'settled' order by r.id",
                &[],
            )
            .await
            .unwrap();
        if rows.is_empty() || Instant::now() > deadline {
            return rows
                .iter()
                .map(|row| format!("not settled: {row:?} {:?}", row.get::<_, String>(2)))
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many revocations there are, by user, transaction and reason.
type Found = HashMap<(i32, String, String), i64>;

async fn revocations(client: &Client) -> Found {
    let rows = client
        .query(
            "select r.user_id, c.xid::text, r.reason, count(*)
             from session_reaper.revocation r
             join session_reaper.change c on c.id = r.change_id
             where r.scope = 'user'
             group by 1, 2, 3",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1), row.get(2)), row.get(3)))
        .collect()
}

/// Committed changes without a revocation, and revocations of changes that did not commit.
fn not_asked_for(books: &Books, found: &Found) -> Vec<String> {
    let mut expected: Found = HashMap::new();
    for change in books.changes.values().flatten() {
        let reason = match change.cause {
            Cause::Password(_) => "password",
            Cause::Requested => "requested",
            Cause::Deleted => continue,
        };
        *expected
            .entry((change.user, change.xid.clone(), reason.to_owned()))
            .or_default() += 1;
    }
    let missing = expected
        .iter()
        .filter(|(what, count)| found.get(*what) != Some(count));
    let unasked = found
        .iter()
        .filter(|(what, _)| !expected.contains_key(*what));
    missing
        .map(|(what, count)| format!("{count} expected: {what:?}, found {:?}", found.get(what)))
        .chain(
            unasked
                .map(|(what, count)| format!("{count} of a change that did not commit: {what:?}")),
        )
        .collect()
}

async fn sessions(client: &Client) -> Vec<String> {
    let rows = client
        .query("select session_key::text from django_session", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Sessions written back within the grace, or revoked by name, that exist.
fn came_back(books: &Books, present: &[String], grace_s: u64) -> Vec<String> {
    present
        .iter()
        .filter_map(|key| {
            let back = books.written_back.get(key);
            let within = back
                .is_some_and(|back| back.written + MARGIN < back.last_seen + grace_s * 1_000_000);
            let named = back.is_none() && books.revoked_by_name.contains(key);
            let login = books.login(key)?;
            (within || named).then(|| {
                tell(
                    books,
                    login,
                    &format!("written back {back:?}, by name {named}"),
                )
            })
        })
        .collect()
}

/// Sessions that were gone before any change could have ended them.
fn bystanders(books: &Books) -> impl Iterator<Item = String> {
    books.gone.iter().filter_map(|(key, seen)| {
        let login = books.login(key)?;
        if books.removed.contains(key) || is_justified(books, login, *seen) {
            return None;
        }
        Some(tell(books, login, &format!("gone at {seen}")))
    })
}

fn is_justified(books: &Books, login: &Login, seen: Micros) -> bool {
    login.user.is_some_and(|user| {
        let changes = books.changes_of(user);
        let earliest = login.begin.sent.min(login.read.sent);
        let first = changes.partition_point(|change| change.published < earliest);
        changes[first..]
            .iter()
            .any(|change| rules::may_end(login, change, seen))
    })
}

fn table(books: &Books, survivors: &[String], bystanders: &[String], lost: &[String]) -> String {
    let mut lines: Vec<String> = books
        .counts
        .iter()
        .filter(|(what, _)| {
            !what.contains(": ") || !(what.starts_with("login") || what.starts_with("change"))
        })
        .map(|(what, count)| format!("  {what:<44}{count:>9}"))
        .collect();
    lines.push(format!("  {:<44}{:>9}", "seen to end", books.gone.len()));
    for (what, found) in [
        ("SURVIVORS", survivors),
        ("BYSTANDERS", bystanders),
        ("LOST", lost),
    ] {
        lines.push(format!("  {what:<44}{:>9}", found.len()));
    }
    lines.join("\n")
}
