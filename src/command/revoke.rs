//! `revoke`: asks, and does the work itself until it is settled. Running beside a daemon is like running
//! two of them: they share the rows.

use std::{process::ExitCode, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Failure, arguments::Revoke, meter::Meter};
use crate::{
    bell::Bell,
    connection::{Pool, Target},
    evictor::Evictor,
    fitness::Fitness,
    reader::Reader,
    requester::Requester,
    revoker::Revoker,
    schema,
    settings::Settings,
    settler::Settler,
    wording::count_of,
    worker::{InForce, Worker},
};

/// How far a revocation is.
struct Progress {
    swept: bool,
    settled: bool,
    sessions: i64,
    served: bool,
}

pub async fn revoke(
    arguments: &Revoke,
    settings: Settings,
    target: &Target,
) -> Result<ExitCode, Failure> {
    let (client, connection) = target.connect().await?;
    tokio::spawn(connection);
    let site = schema::check(&client, &settings.site).await?;
    let pool = target.pool()?;
    let meter = Meter::new(total(arguments, &pool).await?);
    let revocation = ask(arguments, &pool).await?;
    let begun = Instant::now();
    // Nothing settles before the cache has been asked twice.
    let grace_s = settings
        .cache
        .as_ref()
        .map_or(0, |cache| cache.refill_grace_s);
    let wait = Duration::from_secs(arguments.wait_s + grace_s);
    let (_sender, settings) = InForce::new(settings);
    let reader = Reader::new(pool.clone(), settings.clone(), site.reading);
    let progress = work(&pool, settings, reader, revocation, wait, meter).await?;
    print(arguments, revocation, &progress, begun.elapsed());
    // A daemon goes on with what is left; without one nobody does.
    Ok(if progress.settled || progress.served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many sessions there are to end, as far as it is known beforehand.
async fn total(arguments: &Revoke, pool: &Pool) -> Result<Option<u64>, crate::connection::Error> {
    if !arguments.all {
        return Ok(None);
    }
    let count = "-- command::revoke::total
        select count(*) from session_reaper.user_session";
    let row = pool.get().await?.query_one(count, &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).ok())
}

async fn ask(arguments: &Revoke, pool: &Pool) -> Result<i64, Failure> {
    let requester = Requester {
        pool: pool.clone(),
        revoker: Bell::default(),
    };
    match &arguments.user {
        None => Ok(requester.revoke_all(&arguments.reason).await?),
        Some(user) => requester
            .revoke_user(user, &arguments.reason)
            .await?
            .ok_or_else(|| super::no_user(user)),
    }
}

async fn work(
    pool: &Pool,
    settings: InForce,
    mut reader: Reader,
    revocation: i64,
    wait: Duration,
    mut meter: Meter,
) -> Result<Progress, Failure> {
    let mut revoker = Revoker {
        pool: pool.clone(),
        settings: settings.clone(),
        reader: reader.clone(),
        settler: Bell::default(),
        evictor: Bell::default(),
        fitness: Fitness::default(),
    };
    let mut evictor = Evictor::new(pool.clone(), settings.clone(), Bell::default());
    let mut settler = Settler::new(pool.clone(), settings, reader.clone());
    let mut deadline = Instant::now() + wait;
    let mut ended = 0;
    loop {
        // Sessions from before the installation may be the user's, too.
        reader.run_once().await?;
        let more = revoker.run_once().await?;
        evictor.run_once().await?;
        let rest = settler.run_once().await?.min(more);
        let progress = look(pool, revocation).await?;
        meter.show(
            u64::try_from(progress.sessions).unwrap_or_default(),
            progress.swept,
        );
        // While sessions are ending, nobody is waited for: millions of them take longer than that.
        if progress.sessions > ended {
            ended = progress.sessions;
            deadline = Instant::now() + wait;
        }
        if progress.settled || Instant::now() >= deadline {
            meter.finish();
            return Ok(progress);
        }
        // A daemon may have taken the row, and rings no bell here.
        let rest = rest.min(Duration::from_millis(100));
        sleep(rest.min(deadline - Instant::now())).await;
    }
}

async fn look(pool: &Pool, revocation: i64) -> Result<Progress, crate::connection::Error> {
    let row = pool
        .get()
        .await?
        .query_one(
            "-- command::revoke::look
            select r.state = 'settled', r.sessions_ended, session_reaper.is_served(), r.state <> 'requested'
            from session_reaper.revocation r
            where r.id = $1",
            &[&revocation],
        )
        .await?;
    Ok(Progress {
        settled: row.get(0),
        sessions: row.get(1),
        served: row.get(2),
        swept: row.get(3),
    })
}

fn print(arguments: &Revoke, revocation: i64, progress: &Progress, took: Duration) {
    let Progress {
        settled,
        sessions,
        served,
        ..
    } = progress;
    if arguments.json {
        let report = serde_json::json!({
            "revocation": revocation,
            "sessions": sessions,
            "settled": settled,
            "served": served,
            "duration_s": took.as_secs_f64(),
        });
        println!("{report}");
        return;
    }
    println!(
        "revocation {revocation}: {} ended in {:.0} ms",
        count_of(*sessions, "session"),
        took.as_secs_f64() * 1000.0
    );
    if !settled {
        let who = if *served {
            "the daemon goes on"
        } else {
            "start the daemon, or repeat this when they have ended"
        };
        println!(
            "not settled: transactions that were open at the time still are, or the cache has not confirmed (see `session-reaper status`); {who}"
        );
    }
}
