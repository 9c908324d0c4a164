//! Patroni itself moves the primary from server to server, under load, and two daemons follow (P1 to P3).

mod cluster;
mod process;
mod traffic;

use session_reaper::demo::site;

use crate::stage::{
    Database,
    binary::{Binary, EAGER},
    wait_until,
};
use cluster::{Cluster, Node};
use traffic::{Change, Traffic, Visitor};

/// More than can come while the test runs.
const USERS: usize = 20_000;

#[tokio::test]
async fn through_a_switchover_and_a_failover_by_patroni_every_acknowledged_change_is_honoured_by_the_same_two_daemons()
 {
    let Some(mut cluster) = Cluster::start().await else {
        println!(
            "skipped: Patroni, etcd (Debian's patroni and etcd-server) or pg_isready is not there"
        );
        return;
    };
    let mut database = Database::create_empty_at(|name| cluster.url(name)).await;
    site::create_tables(&database.client).await.unwrap();
    database.migrate().await;
    let visitors = sign_up(&database).await;
    let mut daemons = [
        Binary::run(database.url(), &EAGER),
        Binary::run(database.url(), &EAGER),
    ];
    database.served_by(2).await;
    let traffic = Traffic::start(database.url(), visitors.clone());
    goes_on(&traffic).await;

    let [one, two] = &mut cluster.nodes;
    one.hand_over_to(two).await;
    follow(&mut database, two).await;
    goes_on(&traffic).await;
    one.is_synchronous().await;
    is_left(one, &database).await;

    two.kill();
    follow(&mut database, one).await;
    goes_on(&traffic).await;

    let seen = traffic.end().await;
    assert!(daemons.each_mut().map(Binary::lives) == [true, true]);
    database.settled().await;
    for visitor in &seen {
        is_honoured(&database, visitor).await;
    }
    nobody_else_is_touched(&database, &visitors, &seen).await;
}

/// Everybody is logged in already.
async fn sign_up(database: &Database) -> Vec<Visitor> {
    let users = database.users(USERS).await;
    let keys = site::log_in(&database.client, &users).await.unwrap();
    let visitor = |(user, key)| Visitor {
        user,
        older: vec![key],
        change: Change::NotAsked,
        newer: None,
    };
    users.into_iter().zip(keys).map(visitor).collect()
}

/// Waits for further changes.
async fn goes_on(traffic: &Traffic) {
    let before = traffic.changes();
    wait_until("passwords are changed", || async {
        traffic.changes() > before + 50
    })
    .await;
}

/// Waits until this server is the primary and both daemons serve it.
async fn follow(database: &mut Database, primary: &Node) {
    primary.answers("/primary").await;
    let name = database.name().to_owned();
    database.client = primary.connect(&name).await.unwrap();
    database.served_by(2).await;
}

/// Waits until no daemon is connected to this server any more, which takes no writes.
async fn is_left(demoted: &Node, database: &Database) {
    let client = demoted.connect("postgres").await.unwrap();
    let daemons = "select pg_is_in_recovery(), count(*) from pg_stat_activity
        where application_name = 'session-reaper' and datname = $1";
    wait_until("no daemon is left there", || async {
        let row = client
            .query_one(daemons, &[&database.name()])
            .await
            .unwrap();
        assert!(row.get::<_, bool>(0));
        row.get::<_, i64>(1) == 0
    })
    .await;
}

/// Holds what the visitor knows against what the primary has, which has settled everything.
async fn is_honoured(database: &Database, visitor: &Visitor) {
    let Visitor {
        user,
        older,
        change,
        newer,
    } = visitor;
    let kept = format!(
        "select count(*) from session_reaper.revocation where user_id = {user} and reason = 'password'"
    );
    let kept = database.number(&kept).await == 1;
    match change {
        Change::NotAsked => assert!(!kept, "{visitor:?}: a change that nobody asked for"),
        Change::Unanswered => {}
        Change::Acknowledged => assert!(kept, "{visitor:?}: the change is lost"),
    }
    let left = if kept { 0 } else { older.len() };
    assert_eq!(database.count(older).await, left, "{visitor:?}");
    if let Some(key) = newer {
        let keys = [key.clone()];
        assert_eq!(database.count(&keys).await, 1, "{visitor:?}: a bystander");
    }
}

/// Those who have not come, but for the few who were cut off.
async fn nobody_else_is_touched(database: &Database, visitors: &[Visitor], seen: &[Visitor]) {
    let last = seen.iter().map(|visitor| visitor.user).max().unwrap();
    // The clients take them in order, four at a time.
    let absent = visitors.iter().filter(|visitor| visitor.user > last + 4);
    let keys: Vec<String> = absent.flat_map(|visitor| visitor.older.clone()).collect();
    assert_eq!(database.count(&keys).await, keys.len());
}
