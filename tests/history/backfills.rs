//! Backfills of the whole session table: the one after an installation, and others that somebody asks for. Until one is
//! complete, a session that is read counts as older than every change, unless it had been linked before it began.

use std::collections::HashMap;

use tokio_postgres::{Client, Error};

use crate::{
    data::session_data,
    faults::Chaos,
    ledger::{Login, Micros, Span},
    saves::Save,
    world::World,
};

/// One reading.
#[derive(Default)]
struct Backfill {
    /// It was known to have been asked for; nothing, while that is under way.
    known: Option<Micros>,
    /// It was known to be complete, for good.
    done: Option<Micros>,
}

/// All backfills, in the order in which they were asked for.
#[derive(Default)]
pub struct Backfills(Vec<Backfill>);

impl Backfills {
    /// One may begin from now on.
    pub fn ask(&mut self) {
        self.0.push(Backfill::default());
    }

    /// The last one that was asked for has begun.
    pub fn begin(&mut self, known: Micros) {
        if let Some(last) = self.0.last_mut() {
            last.known = Some(known);
        }
    }

    pub fn are_open(&self) -> bool {
        self.0.iter().any(|reading| reading.done.is_none())
    }

    /// The table was found to have been read, by a statement that was sent at `asked`.
    fn finish(&mut self, asked: Micros, known: Micros) {
        let begun = |reading: &&mut Backfill| reading.known.is_some_and(|known| known <= asked);
        for reading in self.0.iter_mut().filter(begun) {
            reading.done.get_or_insert(known);
        }
    }

    /// What was known since then may be lost: it has to be seen once more that they are complete.
    pub fn reopen(&mut self, safe: Micros) {
        for reading in &mut self.0 {
            reading.done = reading.done.filter(|done| *done < safe);
        }
    }

    /// Whether what was written from then on may have been read before one was complete.
    pub fn may_meet(&self, began: Micros) -> bool {
        let meets = |reading: &Backfill| reading.done.is_none_or(|done| done >= began);
        self.0.iter().any(meets)
    }
}

/// Whether the table has been read. Asked by a transaction that commits synchronously, so that no crash can undo the
/// end of the reading once it is believed.
pub async fn look(world: &World, client: &Client) -> Result<(), Error> {
    if !world.ledger.books().backfills.are_open() {
        return Ok(());
    }
    let asked = world.ledger.now();
    let statement = "insert into history_marker (id)
        select $1 from session_reaper.backfill t where t.complete";
    let number = world.next_number();
    if client.execute(statement, &[&number]).await? == 1 {
        let known = world.ledger.now();
        world.ledger.books().backfills.finish(asked, known);
    }
    Ok(())
}

/// Sessions of users, in a table that nobody watches yet.
pub async fn fill(world: &World, client: &Client) -> Result<(), Error> {
    let users = world.ledger.books().users.clone();
    for number in 0..world.options.before {
        let user = users[number % users.len()];
        let (key, sent) = (format!("{number:032x}"), world.ledger.now());
        let expires = sent + world.options.lifetime();
        let data = session_data(Some(user), None);
        client
            .execute(
                "insert into django_session values ($1, $2, $3)",
                &[&key, &data, &world.ledger.wall(expires)],
            )
            .await?;
        let span = Span {
            sent,
            returned: world.ledger.now(),
        };
        let mut books = world.ledger.books();
        let save = Save {
            data,
            expires,
            sent,
            known: Some(sent),
        };
        books.saves.add(&key, save);
        books.add_login(Login {
            key,
            user: Some(user),
            transaction: world.next_number(),
            kind: "from before the installation".to_owned(),
            generation: 0,
            versioned: false,
            split: false,
            read: span,
            begin: span,
            sight: span,
            known: span.returned,
            first_write: Some(sent),
            previous: None,
        });
    }
    Ok(())
}

/// Sessions that there are, and whose they are as far as anybody has linked them.
pub type Owners = HashMap<String, Option<i32>>;

impl Chaos {
    /// Every so often, once the last reading is complete. Nothing settles during one, so that there has to be time for it
    /// in between.
    pub async fn maybe_backfill_again(&mut self) {
        let may = self.rng.u32(0..100) < 10;
        if may && !self.world.ledger.books().backfills.are_open() {
            self.backfill_again().await;
        }
    }

    /// Has all sessions read again, as after an overflow of the queue.
    async fn backfill_again(&mut self) {
        let client = self.world.connect().await;
        self.world.ledger.books().backfills.ask();
        let ask = "select session_reaper.backfill_again('asked for')";
        let owners = owners(&client, ask).await.expect("a reading");
        self.note("all sessions read again");
        self.backfill_begins(&owners);
    }

    /// Whatever was not linked as its user's before may be met by the reading that has begun.
    pub(crate) fn backfill_begins(&self, owners: &Owners) {
        let known = self.world.ledger.now();
        let mut books = self.world.ledger.books();
        books.backfills.begin(known);
        let unread = |login: &&Login| {
            let owner = owners.get(&login.key);
            owner.is_some_and(|owner| *owner != login.user)
        };
        let unread: Vec<Login> = books.logins.iter().filter(unread).cloned().collect();
        for login in unread {
            books.note_unknown_age(&login);
        }
    }
}

/// What was linked when the statement ran stays so: the commit is a synchronous one.
pub async fn owners(client: &Client, statement: &str) -> Result<Owners, Error> {
    client.batch_execute("begin").await?;
    let rows = client
        .query(
            "select s.session_key::text, l.user_id
             from django_session s
             left join session_reaper.user_session l on l.session_key = s.session_key",
            &[],
        )
        .await?;
    client
        .batch_execute(&format!("{statement}; commit"))
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
