//! Redis with Sentinel, and a master that dies.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use session_reaper::{cache::Cache, settings, settings::CacheKind};
use tokio::time::sleep;

use super::{
    django, entry, evict, refusal,
    server::{CacheServer, connect, free_port},
    session_keys,
};
use crate::stage::wait_until;

/// A master, its replica, and a Sentinel that promotes it after half a second.
pub struct Pair {
    pub master: CacheServer,
    pub replica: CacheServer,
    sentinel: CacheServer,
}

impl Pair {
    pub async fn start() -> Option<Self> {
        let master = CacheServer::redis(&["repl-diskless-sync-delay 0"]).await?;
        let replica = format!("replicaof 127.0.0.1 {}", master.port);
        let replica = CacheServer::redis(&[&replica]).await?;
        wait_until("the replica follows", || async {
            let info: String = replica.ask("INFO replication").await.unwrap_or_default();
            info.contains("master_link_status:up")
        })
        .await;
        let monitor = format!("sentinel monitor sessions 127.0.0.1 {} 1", master.port);
        let sentinel = CacheServer::sentinel(&[
            &monitor,
            "sentinel down-after-milliseconds sessions 500",
            "sentinel failover-timeout sessions 5000",
            "requirepass s3cret",
        ])
        .await?;
        let mut asked = connect(&format!("redis://:s3cret@127.0.0.1:{}", sentinel.port)).await;
        let mut question = redis::cmd("SENTINEL");
        question.arg("REPLICAS").arg("sessions");
        wait_until("Sentinel knows the replica", || {
            let mut asked = asked.clone();
            let question = question.clone();
            async move {
                let replicas: Vec<redis::Value> = question.query_async(&mut asked).await.unwrap();
                replicas.len() == 1
            }
        })
        .await;
        let () = redis::cmd("PING").query_async(&mut asked).await.unwrap();
        Some(Self {
            master,
            replica,
            sentinel,
        })
    }

    /// One Sentinel of these does not run.
    pub fn settings(&self) -> settings::Cache {
        let dead = format!("redis://127.0.0.1:{}", free_port());
        let alive = format!("redis://:s3cret@127.0.0.1:{}", self.sentinel.port);
        let mut settings = django(CacheKind::RedisSentinel, &[dead, alive]);
        settings.sentinel_master = Some("sessions".to_owned());
        let file = self.sentinel.dir().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        settings.sentinel_password_file = Some(file);
        settings
    }
}

pub const SKIPPED: &str = "skipped: redis-sentinel is not installed (Debian's redis-tools has it)";

async fn fill(server: &CacheServer, session_keys: &[String]) {
    let entries: Vec<_> = session_keys.iter().map(|key| (entry(key), 1)).collect();
    let mut connection = server.connect().await;
    let () = connection.mset(&entries).await.unwrap();
    // Cached, and known to the replica, before anybody ends a session.
    let taken: i64 = server.ask("WAIT 1 5000").await.unwrap();
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn no_eviction_that_was_confirmed_is_undone_when_the_master_dies() {
    let Some(mut pair) = Pair::start().await else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(20_000);
    fill(&pair.master, &ended).await;
    let mut cache = Cache::open(&pair.settings()).unwrap();

    // One after the other until one fails, which the death of the master in between sees to.
    let (early, rest) = ended.split_at(5000);
    for some in early.chunks(10) {
        evict(&mut cache, some).await;
    }
    let mut confirmed = early.len();
    let dies = async {
        tokio::task::yield_now().await;
        let pid = pair.master.kill_at_once();
        assert!(pid > 0);
    };
    let evicting = async {
        for some in rest.chunks(10) {
            if cache.evict(some).await.is_err() {
                break;
            }
            confirmed += some.len();
        }
    };
    tokio::join!(evicting, dies);
    assert!(confirmed < ended.len(), "the master died too late");
    wait_until("Sentinel promotes the replica", || async {
        let role: Vec<redis::Value> = pair.replica.ask("ROLE").await.unwrap_or_default();
        role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))
    })
    .await;

    let entries: Vec<_> = ended[..confirmed].iter().map(|key| entry(key)).collect();
    let mut promoted = pair.replica.connect().await;
    assert_eq!(promoted.exists::<_, usize>(&entries).await.unwrap(), 0);
    let all: Vec<_> = ended.iter().map(|key| entry(key)).collect();
    assert!(promoted.exists::<_, usize>(&all).await.unwrap() > 0);

    // There is nobody left who could take it over, so it happens and does not count.
    let patience = Instant::now() + Duration::from_secs(240);
    loop {
        let told = refusal(&mut cache, &ended, &["s3cret"]).await;
        if told.contains("0 of 1 replicas have taken it over") {
            assert!(told.contains(&pair.replica.address()), "{told}");
            break;
        }
        assert!(Instant::now() < patience, "{told}");
        sleep(Duration::from_millis(50)).await;
    }
    let mut promoted = pair.replica.connect().await;
    assert_eq!(promoted.exists::<_, usize>(&all).await.unwrap(), 0);
    // The old one comes back as a replica.
    pair.master.start_again().await;
    evict(&mut cache, &ended).await;
}

#[tokio::test]
async fn what_sentinel_does_not_know_or_does_not_tell_is_said() {
    let Some(pair) = Pair::start().await else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(10);
    fill(&pair.master, &ended).await;
    let mut settings = pair.settings();
    let mut cache = Cache::open(&settings).unwrap();
    evict(&mut cache, &ended).await;
    let entries: Vec<_> = ended.iter().map(|key| entry(key)).collect();
    let mut master = pair.master.connect().await;
    assert_eq!(master.exists::<_, usize>(&entries).await.unwrap(), 0);
    assert!(
        cache
            .describe()
            .starts_with("Redis sessions by Sentinel on 127.0.0.1:")
    );

    settings.sentinel_master = Some("others".to_owned());
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(told.contains("Sentinel knows no master"), "{told}");
    let file = settings.sentinel_password_file.clone().unwrap();
    std::fs::write(&file, "wrong-s3cret").unwrap();
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(told.contains("check cache.sentinel_user"), "{told}");
}

#[tokio::test]
async fn a_sentinels_user_needs_one_right() {
    let Some(pair) = Pair::start().await else {
        return println!("{SKIPPED}");
    };
    let mut admin = connect(&format!("redis://:s3cret@127.0.0.1:{}", pair.sentinel.port)).await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER")
        .arg(&["reaper", "on", ">s3cret", "-@all"]);
    user.arg("+sentinel|get-master-addr-by-name");
    let () = user.query_async(&mut admin).await.unwrap();
    let mut settings = pair.settings();
    settings.sentinel_user = Some("reaper".to_owned());
    let mut cache = Cache::open(&settings).unwrap();
    evict(&mut cache, &session_keys(3)).await;
}
