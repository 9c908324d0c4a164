//! Looks into the database for clients: one look at a time, on its own connection, so that no worker ever waits for it. It
//! does not look again before the last look has become a little old.

use std::{
    panic::resume_unwind,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};
use tokio_postgres::Client;

use crate::{
    connection::Target,
    history::{self, Entry, Wanted},
    schema,
    status::{
        self, Status,
        latency::{self, Point},
    },
    worker::InForce,
};

/// How long one look may take: a scraper gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long one statement of it may take: what takes longer is left out, and the rest is reported.
const LONGEST_STATEMENT: Duration = Duration::from_secs(2);

/// The shortest time for which a look is good enough.
const FRESH: Duration = Duration::from_secs(1);

/// At most one part in this many of the time is spent looking, where a look takes long because there is much to count.
const SHARE: u32 = 10;

/// The longest time for which a look is good enough.
const STALE: Duration = Duration::from_secs(30);

/// How often the connection is opened anew: behind the same name there may be another server by then.
const RENEWED_AFTER: Duration = Duration::from_secs(60);

/// How many revocations are shown.
const SHOWN: i64 = 20;

/// And how many are drawn.
const PLOTTED: i64 = 200;

/// Looks; see the module.
pub struct Observer {
    target: Target,
    settings: InForce,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connection: Option<(Client, Instant)>,
    last: Option<(Arc<Sight>, Instant)>,
}

/// What was seen, and when.
pub struct Sight {
    /// When.
    pub at: SystemTime,
    /// The state, or why it is not known.
    pub view: Result<View, Blind>,
}

/// The state.
pub struct View {
    /// What `status` shows.
    pub status: Status,
    /// The last revocations that are open, the newest first.
    pub open: Vec<Entry>,
    /// The last revocations, the newest first.
    pub history: Vec<Entry>,
    /// How long the last ones took, the newest first.
    pub points: Vec<Point>,
}

/// Why nothing is known.
pub struct Blind {
    /// A sentence.
    pub why: String,
    /// Whether the database is served, where at least that is known.
    pub served: Option<bool>,
}

impl Observer {
    /// An observer that has not looked yet.
    pub fn new(target: Target, settings: InForce) -> Self {
        Self {
            target,
            settings,
            seen: Arc::default(),
        }
    }

    /// The state now, or a moment ago.
    pub async fn look(self: &Arc<Self>) -> Arc<Sight> {
        // A client that asks meanwhile waits here, and gets the same answer.
        let seen = Arc::clone(&self.seen).lock_owned().await;
        if let Some((sight, good_until)) = &seen.last
            && Instant::now() < *good_until
        {
            return Arc::clone(sight);
        }
        // In its own task, so that a visitor who hangs up does not end it; otherwise each of many would begin another
        // look.
        let observer = Arc::clone(self);
        let looking = tokio::spawn(async move { observer.look_into(seen).await });
        looking
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    async fn look_into(&self, mut seen: OwnedMutexGuard<Seen>) -> Arc<Sight> {
        let begun = Instant::now();
        let view = self.look_again(&mut seen.connection).await;
        let took = begun.elapsed();
        let rest = if view.is_ok() {
            took * SHARE
        } else {
            seen.connection = None;
            took
        };
        let sight = Arc::new(Sight {
            at: SystemTime::now(),
            view,
        });
        seen.last = Some((
            Arc::clone(&sight),
            Instant::now() + rest.clamp(FRESH, STALE),
        ));
        sight
    }

    async fn look_again(&self, connection: &mut Option<(Client, Instant)>) -> Result<View, Blind> {
        let mut served = None;
        let looked = timeout(PATIENCE, async {
            let client = match connection {
                Some((client, opened_at))
                    if !client.is_closed() && opened_at.elapsed() < RENEWED_AFTER =>
                {
                    client
                }
                _ => {
                    let (client, driver) = self.target.connect_briefly(LONGEST_STATEMENT).await?;
                    tokio::spawn(driver);
                    &mut connection.insert((client, Instant::now())).0
                }
            };
            self.read(client, &mut served).await
        })
        .await;
        let why = match looked {
            Ok(Ok(view)) => return Ok(view),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "looking took longer than {} s: the database is busy, or does not answer",
                PATIENCE.as_secs()
            ),
        };
        Err(Blind { why, served })
    }

    async fn read(
        &self,
        client: &Client,
        served: &mut Option<bool>,
    ) -> Result<View, schema::Error> {
        let settings = self.settings.now();
        if schema::installed_version(client).await?.is_some() {
            *served = Some(status::is_served(client).await?);
        }
        let last = Wanted {
            most: SHOWN,
            grace_s: settings.revoke.write_back_grace_s as f64,
            ..Wanted::default()
        };
        let open = Wanted {
            only_open: true,
            ..last
        };
        Ok(View {
            status: status::read_whole(client, &settings).await?,
            open: history::read(client, &open).await?,
            history: history::read(client, &last).await?,
            points: latency::points(client, PLOTTED).await?,
        })
    }
}
