//! Looks at the session table all the time. A session that a settled change must have ended is a survivor at once,
//! before a later change hides it; and when a session was first found gone is what tells a bystander.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio_postgres::{Client, Error};

use crate::{
    backfills,
    ledger::{Books, Change, Login, Micros},
    rules,
    world::World,
};

const OPEN: &str = "
    select null::text, r.user_id, c.xid::text, r.reason = 'deleted'
    from session_reaper.revocation r
    join session_reaper.change c on c.id = r.change_id
    where r.state <> 'settled'";
const SESSIONS: &str = "
    select s.session_key::text, null::integer, null::text, false from django_session s";

/// What is not settled yet.
#[derive(Default)]
pub struct Open {
    changes: HashSet<(Option<i32>, String)>,
    deleted: HashSet<Option<i32>>,
}

impl Open {
    pub async fn ask(client: &Client) -> Result<Self, Error> {
        let mut open = Self::default();
        for row in client.query(OPEN, &[]).await? {
            open.add(row.get(1), row.get(2), row.get(3));
        }
        Ok(open)
    }

    /// What is not settled in one of them, or in both.
    pub fn extend(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.deleted.extend(other.deleted);
    }

    /// Whether something of this transaction's is not settled.
    pub fn has(&self, xid: &str) -> bool {
        self.changes.iter().any(|(_, open)| open == xid)
    }

    /// Whether something that may be about this session is not settled.
    pub fn concerns(&self, login: &Login) -> bool {
        let mut users = self.changes.iter().map(|(user, _)| *user);
        users.any(|user| user.is_none() || user == login.user)
    }

    fn add(&mut self, user: Option<i32>, xid: String, deleted: bool) {
        if deleted {
            self.deleted.insert(user);
        }
        self.changes.insert((user, xid));
    }

    /// The sessions of a user who was deleted are named by that revocation from then on: the older ones of
    /// the same user settle without them.
    fn covers(&self, login: &Login, change: &Change) -> bool {
        self.deleted.contains(&login.user) || self.has_of(change)
    }

    fn has_of(&self, change: &Change) -> bool {
        self.changes.contains(&(change.user, change.xid.clone()))
    }

    /// Whether a login may be ending on arrival. It can be older than many changes that have settled, and of those one
    /// that is opened again for it is enough.
    fn may_end(&self, books: &Books, login: &Login, asked: Micros) -> bool {
        login.versioned
            && books
                .changes_since(login)
                .any(|change| self.has_of(change) && rules::may_end(login, change, asked))
    }
}

/// Looks until the world stops.
pub async fn run(world: Arc<World>) {
    let mut client = world.connect().await;
    while !world.is_stopping() {
        let may = world.may_go_on().await;
        let looked = match look(&world, &client).await {
            Ok(()) => backfills::look(&world, &client).await,
            failed => failed,
        };
        if looked.is_err() {
            client = world.connect().await;
        }
        drop(may);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

/// One look.
pub async fn look(world: &World, client: &Client) -> Result<(), Error> {
    let asked = world.ledger.now();
    // In one statement: one snapshot.
    let look = format!("{SESSIONS} union all {OPEN}");
    let rows = client.query(&look, &[]).await?;
    let seen = world.ledger.now();
    let (mut present, mut open) = (HashSet::new(), Open::default());
    for row in rows {
        let Some(key) = row.get(0) else {
            open.add(row.get(1), row.get(2), row.get(3));
            continue;
        };
        present.insert(key);
    }
    let mut books = world.ledger.books();
    note_gone(&mut books, &present, seen, asked);
    note_survivors(&mut books, &present, &open, asked);
    Ok(())
}

fn note_gone(books: &mut Books, present: &HashSet<String>, seen: Micros, asked: Micros) {
    let gone: Vec<String> = books
        .believed
        .iter()
        .filter(|key| {
            !present.contains(*key) && books.login(key).is_some_and(|login| login.known < asked)
        })
        .cloned()
        .collect();
    for key in gone {
        books.believed.remove(&key);
        let login = books.by_key[&key];
        books.gone.push((login, seen));
    }
}

fn note_survivors(books: &mut Books, present: &HashSet<String>, open: &Open, asked: Micros) {
    let (mut found, mut excused) = (Vec::new(), Vec::new());
    for login in present.iter().filter_map(|key| books.login(key)) {
        let key = &login.key;
        // Whose it was at that look is not known for certain.
        let has_changed_hands = login.previous.is_some() && login.known >= asked;
        if books.written_back.contains_key(key)
            || books.survivors.contains_key(key)
            || books.in_flux.contains(key)
            || has_changed_hands
            || is_stillborn(books, login)
            || open.may_end(books, login, asked)
        {
            continue;
        }
        for change in settled(books, login, open, asked) {
            if let Some(why) = rules::must_end(login, change) {
                let story = tell(books, login, &format!("{why}: {change:?}"));
                found.push((key.clone(), story));
                break;
            }
            if rules::is_excused(login, change) {
                excused.push(key.clone());
            }
        }
    }
    books.survivors.extend(found);
    books.excused.extend(excused);
}

/// Whether it is nobody's, as far as any schema can see.
pub fn is_stillborn(books: &Books, login: &Login) -> bool {
    let changes = books.changes.get(&login.user);
    let mut changes = changes.into_iter().flatten();
    login.user.is_some() && changes.any(|change| rules::is_stillborn(login, change))
}

/// The settled changes that may concern it.
pub fn settled<'a>(
    books: &'a Books,
    login: &'a Login,
    open: &'a Open,
    asked: Micros,
) -> impl Iterator<Item = &'a Change> {
    books
        .changes_since(login)
        .filter(move |change| change.published < asked && !open.covers(login, change))
}

/// A session's history: its login, and the first changes that may concern it.
pub fn tell(books: &Books, login: &Login, verdict: &str) -> String {
    let mut changes: Vec<&Change> = books.changes_since(login).collect();
    changes.sort_by_key(|change| change.published);
    let changes: Vec<String> = changes
        .iter()
        .take(12)
        .map(|change| format!("    {change:?}"))
        .collect();
    let story = format!("{verdict}\n  {login:?}\n{}", changes.join("\n"));
    match login.previous {
        Some(before) => tell(books, &books.logins[before], &format!("{story}\n  before:")),
        None => story,
    }
}
