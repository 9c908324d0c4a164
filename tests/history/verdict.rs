//! The verdict on a run, after everything has come to rest.

use std::{collections::BTreeMap, fmt};

use tokio_postgres::Client;

use crate::{
    cache,
    client::READ_FROM_STANDBY,
    control::Deadlocks,
    ledger::{Books, Login, Micros},
    lost,
    monitor::{self, tell},
    options::Trouble,
    rules,
    world::World,
};

/// How much nearer than the grace a write-back has to be to count as one within it.
const MARGIN: Micros = 100_000;

/// What was found.
pub struct Verdict {
    pub survivors: Vec<String>,
    pub bystanders: Vec<String>,
    pub lost: Vec<String>,
    /// Sessions that had ended for good and were still cached.
    pub cached: Vec<String>,
    /// Statements of the app's that failed because of us.
    pub failed: Vec<String>,
    /// Statements of the app's that were a deadlock's victims: to be compared with those of a site without us.
    pub deadlocks: Deadlocks,
    pub table: String,
    counts: BTreeMap<String, u64>,
}

impl Verdict {
    /// Waits until everything is settled, and judges.
    ///
    /// `complaints` are what else must not have happened.
    pub async fn reach(world: &World, complaints: &[String]) -> Self {
        let client = world.connect().await;
        let mut lost = lost::unsettled(world, &client).await;
        lost.extend_from_slice(complaints);
        monitor::look(world, &client).await.unwrap();
        let cached = cache::left_over(world, &client).await;
        let found = lost::revocations(&client).await;
        let unserved = lost::unserved(&client).await;
        let present = sessions(&client).await;
        let mut books = world.ledger.books();
        books.unserved = unserved;
        let books = &*books;
        lost.extend(lost::not_asked_for(books, &found));
        lost.extend_from_slice(&books.saves.wrong);
        if world.options.has(Trouble::Standby) && !books.counts.contains_key(READ_FROM_STANDBY) {
            lost.push("nobody has read from the standby".to_owned());
        }
        let mut survivors: Vec<String> = books.survivors.values().cloned().collect();
        survivors.extend(came_back(books, &present, world.options.grace_s));
        let bystanders: Vec<String> = bystanders(books).collect();
        let mut table = table(books, &survivors, &bystanders, &lost);
        if world.cache.is_some() {
            table = format!("{table}\n{}", table_of_cache(books, &cached));
        }
        Self {
            survivors,
            bystanders,
            lost,
            cached,
            failed: books.failed.clone(),
            deadlocks: Deadlocks::of(books),
            table,
            counts: books.counts.clone(),
        }
    }
}

impl Verdict {
    /// How often this has come up.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        let found = [
            &self.survivors,
            &self.bystanders,
            &self.lost,
            &self.cached,
            &self.failed,
        ];
        found.into_iter().all(Vec::is_empty)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table)?;
        for (what, stories) in [
            ("survivor", &self.survivors),
            ("bystander", &self.bystanders),
            ("lost", &self.lost),
            ("cached survivor", &self.cached),
            ("failed app statement", &self.failed),
        ] {
            for story in stories.iter().take(5) {
                writeln!(f, "{what}: {story}")?;
            }
        }
        writeln!(
            f,
            "survivors {}, bystanders {}, lost {}, failed app statements {}, {}",
            self.survivors.len() + self.cached.len(),
            self.bystanders.len(),
            self.lost.len(),
            self.failed.len(),
            self.deadlocks
        )
    }
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
            let named = back.is_none() && books.revoked_by_name.contains_key(key);
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

/// Sessions that were gone before they expired, and before any change could have ended them.
fn bystanders(books: &Books) -> impl Iterator<Item = String> {
    books.gone.iter().filter_map(|(login, seen)| {
        let login = &books.logins[*login];
        let key = &login.key;
        if books.removed.contains(key)
            || is_justified(books, login, *seen)
            || books.saves.has_expired(key, *seen)
        {
            return None;
        }
        Some(tell(
            books,
            login,
            &format!("gone at {seen}, kept until {:?}", books.saves.expires(key)),
        ))
    })
}

/// Whether a change may have ended a session that was found gone at `seen`.
pub fn is_justified(books: &Books, login: &Login, seen: Micros) -> bool {
    let login = &books.as_read(login);
    let own = books
        .changes_since(login)
        .any(|change| rules::may_end(login, change, seen));
    own || was_justified(books, login, seen)
}

/// Whether a change of somebody's who was logged in before may have ended it.
fn was_justified(books: &Books, login: &Login, seen: Micros) -> bool {
    let mut next = login.clone();
    while let Some(previous) = next.previous {
        let before = books.as_read(&books.logins[previous]);
        let ended = books.changes_since(&before).any(|change| {
            let served = !books.unserved.contains(&change.xid);
            rules::may_end_before(&before, &next, change, seen, served)
        });
        if ended {
            return true;
        }
        next = before;
    }
    false
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
    lines.push(format!(
        "  {:<44}{:>9}",
        "seen to stay as no schema can see them",
        books.excused.len()
    ));
    for (what, found) in [
        ("SURVIVORS", survivors),
        ("BYSTANDERS", bystanders),
        ("LOST", lost),
    ] {
        lines.push(format!("  {what:<44}{:>9}", found.len()));
    }
    lines.join("\n")
}

fn table_of_cache(books: &Books, cached: &[String]) -> String {
    format!(
        "  {:<44}{:>9}\n  {:<44}{:>9}\n  {:<44}{:>9}",
        "sessions seen in the cache",
        books.cache.seen.len(),
        "sessions exempt, as they were cached too late",
        books.cache.exempted(),
        "CACHED SURVIVORS",
        cached.len()
    )
}
