//! `revoke`: asks, and does the work itself until it is settled. Running beside a daemon is like running
//! two of them: they share the rows.

mod patience;
mod progress;

use std::{process::ExitCode, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Failure, arguments::Revoke, meter::Meter, rehearsal, user};
use crate::{
    connection::{self, Database, Target},
    evict::evictor::Evictor,
    link::linker::Linker,
    process::{fitness::Fitness, repeated::Repeated, shutdown::Stop},
    revoke::{requester::Requester, revoker::Revoker, settler::Settler},
    schema,
    settings::Settings,
    worker::passing::past_locks,
    worker::{InForce, bell::Bell, size::Size},
};
use patience::{A_MOMENT, Patience};
use progress::{Progress, look, print};

/// The exit code of a revocation that has not settled in time.
const NOT_SETTLED: u8 = 3;

pub async fn revoke(
    arguments: &Revoke,
    settings: Settings,
    target: &Target,
) -> Result<ExitCode, Failure> {
    let client = user::connect(target).await?;
    let stop = Stop::default();
    let site = past_locks(&stop, async || schema::check(&client, &settings.site).await).await?;
    let whose = match arguments.user() {
        Some(given) => Some(user::find(&client, &settings, &given).await?),
        None => None,
    };
    let database = target.database()?;
    if arguments.rehearse {
        return rehearsal::rehearse(arguments, &settings, &client).await;
    }
    let meter = Meter::new(past_locks(&stop, async || total(arguments, &database).await).await?);
    let asked = past_locks(&stop, async || {
        ask(whose.as_deref(), arguments, &database).await
    })
    .await?;
    // The user may have been deleted since.
    let revocation = asked.ok_or_else(|| user::gone(whose.as_deref().unwrap_or_default()))?;
    let begun = Instant::now();
    // Nothing settles before the cache has been asked twice.
    let grace_s = settings
        .cache
        .as_ref()
        .map_or(0, |cache| cache.refill_grace_s);
    let wait = Duration::from_secs(arguments.wait_s + grace_s);
    let (_sender, settings) = InForce::new(settings);
    let linker = Linker::new(database.clone(), settings.clone(), site.user_source);
    let progress = work(&database, settings, linker, revocation, wait, meter).await?;
    print(arguments, revocation, &progress, begun.elapsed());
    // What could be ended has ended, and more may be left to end: a script has to know.
    Ok(if progress.settled {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_SETTLED)
    })
}

/// How many sessions there are to end, as far as it is known beforehand.
async fn total(arguments: &Revoke, database: &Database) -> Result<Option<u64>, connection::Error> {
    if !arguments.all {
        return Ok(None);
    }
    let count = "-- command::revoke::total
        select count(*) from session_reaper.user_session";
    match database.query_one(count, &[]).await {
        Ok(row) => Ok(u64::try_from(row.get::<_, i64>(0)).ok()),
        // No session waits for a number that is only shown.
        Err(error) if error.is_out_of_time() => Ok(None),
        Err(error) => Err(error),
    }
}

/// None if there is no such user.
async fn ask(
    user: Option<&str>,
    arguments: &Revoke,
    database: &Database,
) -> Result<Option<i64>, connection::Error> {
    let requester = Requester {
        database: database.clone(),
        revoker: Bell::default(),
    };
    let reason = &arguments.reason;
    match user {
        None => {
            let revocation = requester.revoke_all(reason, arguments.per_second);
            Ok(Some(revocation.await?))
        }
        Some(user) => requester.revoke_user(user, reason).await,
    }
}

async fn work(
    database: &Database,
    settings: InForce,
    mut linker: Linker,
    revocation: i64,
    wait: Duration,
    mut meter: Meter,
) -> Result<Progress, Failure> {
    let mut revoker = Revoker {
        database: database.clone(),
        settings: settings.clone(),
        linker: linker.clone(),
        settler: Bell::default(),
        evictor: Bell::default(),
        fitness: Fitness::default(),
        complaints: Repeated::default(),
        size: Size::default(),
        untold: None,
    };
    let mut evictor = Evictor::new(database.clone(), settings.clone(), Bell::default());
    let mut settler = Settler::new(database.clone(), settings, linker.clone());
    let mut patience = Patience::new(wait);
    loop {
        // Sessions from before the installation may be the user's, too.
        patience.pass(&mut linker).await?;
        let more = patience.pass(&mut revoker).await?;
        patience.pass(&mut evictor).await?;
        let rest = patience.pass(&mut settler).await?.min(more);
        let progress = look(database, revocation).await?;
        meter.show(
            u64::try_from(progress.sessions).unwrap_or_default(),
            progress.swept,
        );
        patience.note(progress.sessions);
        if progress.settled || patience.is_over() {
            meter.finish();
            return Ok(progress);
        }
        // A daemon may have taken the row, and rings no bell here.
        sleep(patience.left().min(rest).min(A_MOMENT)).await;
    }
}
