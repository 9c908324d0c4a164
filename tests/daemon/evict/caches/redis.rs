//! Redis and Valkey, one server.

use std::{path::PathBuf, process::Command};

use redis::AsyncCommands;
use session_reaper::{cache::Cache, settings::CacheKind};

use super::{
    django, entry, evict, objection, refusal,
    server::{CacheServer, command, connect, free_port},
    session_keys,
};
use crate::stage::wait_until;

const SKIPPED: &str = "skipped: redis-server is not installed (Debian's redis-tools has it)";

/// Caches these sessions.
pub async fn fill(server: &CacheServer, session_keys: &[String]) {
    let mut connection = server.connect().await;
    for batch in session_keys.chunks(1000) {
        let entries: Vec<_> = batch.iter().map(|key| (entry(key), "cached")).collect();
        let () = connection.mset(&entries).await.unwrap();
    }
}

/// How many of these are cached.
async fn cached(server: &CacheServer, session_keys: &[String]) -> usize {
    let entries: Vec<_> = session_keys.iter().map(|key| entry(key)).collect();
    server.connect().await.exists(&entries).await.unwrap()
}

async fn evicts_these_and_no_others(server: &CacheServer) {
    let (ended, others) = (session_keys(2500), session_keys(10));
    fill(server, &ended).await;
    fill(server, &others).await;
    let mut cache = Cache::open(&django(CacheKind::Redis, &[server.url()])).unwrap();
    cache.evict(&ended).await.unwrap();
    assert_eq!(cached(server, &ended).await, 0);
    assert_eq!(cached(server, &others).await, 10);
    // Twice is once, and nothing is nothing.
    cache.evict(&ended).await.unwrap();
    cache.evict(&[]).await.unwrap();
    assert_eq!(cache.describe(), format!("Redis on {}", server.address()));
}

#[tokio::test]
async fn redis_has_no_entry_of_a_session_that_was_evicted_and_every_other_one() {
    match CacheServer::redis(&[]).await {
        Some(server) => evicts_these_and_no_others(&server).await,
        None => println!("{SKIPPED}"),
    }
}

#[tokio::test]
async fn valkey_has_no_entry_of_a_session_that_was_evicted_and_every_other_one() {
    match CacheServer::valkey(&[]).await {
        Some(server) => evicts_these_and_no_others(&server).await,
        None => {
            println!("skipped: valkey-server is not installed (Debian 13's valkey-tools has it)")
        }
    }
}

#[tokio::test]
async fn prefix_version_database_and_socket_are_those_of_the_settings() {
    let Some(server) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let mut settings = django(
        CacheKind::Redis,
        &[format!("unix://{}?db=3", server.socket())],
    );
    settings.key_prefix = "shop".to_owned();
    settings.version = 2;
    settings.backend_prefix = "site1/".to_owned();
    let mut connection = server.connect().await;
    let theirs = "site1/shop:2:django.contrib.sessions.cached_dbabc";
    for database in [0, 3] {
        let () = command(&format!("SELECT {database}"))
            .query_async(&mut connection)
            .await
            .unwrap();
        let () = connection.set(theirs, 1).await.unwrap();
        let () = connection.set(entry("abc"), 1).await.unwrap();
    }
    let mut cache = Cache::open(&settings).unwrap();
    cache.evict(&["abc".to_owned()]).await.unwrap();
    let both = [theirs.to_owned(), entry("abc")];
    assert_eq!(connection.exists::<_, usize>(&both).await.unwrap(), 1);
    let () = command("SELECT 0")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(connection.exists::<_, usize>(&both).await.unwrap(), 2);
}

#[tokio::test]
async fn several_servers_are_all_asked() {
    let (Some(one), Some(mut two)) = (CacheServer::redis(&[]).await, CacheServer::redis(&[]).await)
    else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(10);
    fill(&one, &ended[..5]).await;
    fill(&two, &ended[5..]).await;
    let mut cache = Cache::open(&django(CacheKind::Redis, &[one.url(), two.url()])).unwrap();
    cache.evict(&ended).await.unwrap();
    assert_eq!(cached(&one, &ended).await + cached(&two, &ended).await, 0);
    two.kill();
    let told = refusal(&mut cache, &ended, &[]).await;
    assert!(told.contains(&two.address()), "{told}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it_and_the_right_one_may_be_in_a_file() {
    let Some(server) = CacheServer::redis(&["requirepass right-s3cret"]).await else {
        return println!("{SKIPPED}");
    };
    let with = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port);
    let ended = session_keys(1);

    let mut settings = django(CacheKind::Redis, &[with(":wrong-s3cret@")]);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(
        told.contains("it does not accept user and password; check cache.user"),
        "{told}"
    );
    settings.servers = vec![with("")];
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("it asks for a password"), "{told}");
    settings.servers = vec![with(":right-s3cret@")];
    Cache::open(&settings).unwrap().evict(&ended).await.unwrap();

    settings.servers = vec![with(":wrong-s3cret@")];
    let file = server.dir().join("password");
    settings.password_file = Some(file.clone());
    let told = objection(&settings, &["s3cret"]);
    assert!(
        told.contains("cannot take the cache's password from"),
        "{told}"
    );
    std::fs::write(&file, "\n").unwrap();
    assert!(objection(&settings, &[]).contains("it is empty"));
    std::fs::write(&file, "right-s3cret\n").unwrap();
    Cache::open(&settings).unwrap().evict(&ended).await.unwrap();
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_rights_that_are_documented() {
    let Some(server) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    // The line of the sample configuration.
    let rights = "ACL SETUSER session-reaper on >s3cret resetkeys ~*:django.contrib.sessions.cached_db* -@all +unlink";
    let () = server.ask(rights).await.unwrap();
    let ended = session_keys(10);
    fill(&server, &ended).await;
    let url = |database| {
        format!(
            "redis://session-reaper:s3cret@127.0.0.1:{}/{database}",
            server.port
        )
    };
    let mut settings = django(CacheKind::Redis, &[url(0)]);
    Cache::open(&settings).unwrap().evict(&ended).await.unwrap();
    assert_eq!(cached(&server, &ended).await, 0);

    for (database, min_replicas, right) in [(0, Some(1), "+wait"), (1, None, "+select")] {
        settings.servers = vec![url(database)];
        settings.min_replicas = min_replicas;
        let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
        assert!(
            told.contains("the user lacks a right") && told.contains(right),
            "{told}"
        );
    }
    let () = server
        .ask("ACL SETUSER session-reaper +set +wait")
        .await
        .unwrap();
    settings.servers = vec![url(0)];
    settings.min_replicas = Some(1);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(told.contains("0 of 1 replicas"), "{told}");
    let () = server
        .ask("ACL SETUSER session-reaper +select")
        .await
        .unwrap();
    settings.min_replicas = None;
    settings.servers = vec![url(99)];
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(told.contains("it has no database"), "{told}");
    settings.servers = vec![url(1)];
    Cache::open(&settings).unwrap().evict(&ended).await.unwrap();
    settings.key = Some("other{session_key}".to_owned());
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &["s3cret"]).await;
    assert!(told.contains("the user lacks a right"), "{told}");
}

/// An authority and a certificate for 127.0.0.1 by it.
fn certificates(server: &CacheServer, name: &str) -> [PathBuf; 3] {
    let [ca, ca_key, certificate, key] =
        ["ca.crt", "ca.key", "crt", "key"].map(|end| server.dir().join(format!("{name}.{end}")));
    let make = |subject: &str, certificate: &PathBuf, key: &PathBuf| {
        let mut command = Command::new("openssl");
        command.args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        );
        command.args(["-subj", subject, "-out"]).arg(certificate);
        command.arg("-keyout").arg(key);
        command
    };
    let authority = make(&format!("/CN={name}"), &ca, &ca_key).output().unwrap();
    assert!(authority.status.success());
    let mut signed = make("/CN=cache", &certificate, &key);
    signed.args([
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    signed.arg("-CA").arg(&ca).arg("-CAkey").arg(&ca_key);
    assert!(signed.output().unwrap().status.success());
    [ca, certificate, key]
}

#[tokio::test]
async fn over_tls_the_certificate_has_to_be_one_that_the_file_vouches_for() {
    let Some(server) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let [ca, certificate, key] = certificates(&server, "right");
    let [other, ..] = certificates(&server, "other");
    let port = free_port();
    let tls = format!(
        "CONFIG SET tls-cert-file {} tls-key-file {} tls-auth-clients no tls-port {port}",
        certificate.display(),
        key.display()
    );
    let () = server.ask(&tls).await.unwrap();
    let ended = session_keys(10);
    fill(&server, &ended).await;
    let mut settings = django(CacheKind::Redis, &[format!("rediss://127.0.0.1:{port}")]);

    settings.ca_file = Some(other);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(
        told.contains("TLS failed (") && told.contains("check cache.ca_file"),
        "{told}"
    );
    settings.ca_file = Some(ca.clone());
    settings.servers = vec![format!("rediss://localhost:{port}")];
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("TLS failed ("), "another name: {told}");
    settings.servers = vec![format!("rediss://127.0.0.1:{}", server.port)];
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("TLS"), "a port without TLS: {told}");
    settings.servers = vec![format!("redis://127.0.0.1:{port}")];
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("whether TLS is spoken"), "{told}");
    assert_eq!(cached(&server, &ended).await, 10);

    settings.servers = vec![format!("rediss://127.0.0.1:{port}")];
    Cache::open(&settings).unwrap().evict(&ended).await.unwrap();
    assert_eq!(cached(&server, &ended).await, 0);
    settings.ca_file = Some(server.dir().join("none"));
    assert!(objection(&settings, &[]).contains("cannot read the root certificate"));
}

#[tokio::test]
async fn a_server_that_is_down_fails_and_what_was_asked_then_is_evicted_once_it_is_back() {
    let Some(mut server) = CacheServer::redis(&[]).await else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(10);
    let mut cache = Cache::open(&django(CacheKind::Redis, &[server.url()])).unwrap();
    cache.evict(&ended).await.unwrap();
    server.kill();
    let told = refusal(&mut cache, &ended, &[]).await;
    assert!(
        told.contains(&server.address()) && told.contains("nothing listens there"),
        "{told}"
    );
    server.start_again().await;
    fill(&server, &ended).await;
    cache.evict(&ended).await.unwrap();
    assert_eq!(cached(&server, &ended).await, 0);
    // A connection that was closed while it was idle is no failure.
    fill(&server, &ended).await;
    let closed: usize = server
        .ask("CLIENT KILL TYPE normal SKIPME yes")
        .await
        .unwrap();
    assert!(closed > 0);
    cache.evict(&ended).await.unwrap();
    assert_eq!(cached(&server, &ended).await, 0);
}

#[tokio::test]
async fn an_eviction_counts_once_enough_replicas_have_taken_it_over() {
    let Some(master) = CacheServer::redis(&["repl-diskless-sync-delay 0"]).await else {
        return println!("{SKIPPED}");
    };
    let replica = format!("replicaof 127.0.0.1 {}", master.port);
    let mut replica = CacheServer::redis(&[&replica]).await.unwrap();
    let follows = async |replica: &CacheServer| {
        wait_until("the replica follows", || async {
            let info: String = replica.ask("INFO replication").await.unwrap_or_default();
            info.contains("master_link_status:up")
        })
        .await;
    };
    follows(&replica).await;
    let ended = session_keys(10);
    fill(&master, &ended).await;
    let mut settings = django(CacheKind::Redis, &[master.url()]);
    settings.min_replicas = Some(1);
    let mut cache = Cache::open(&settings).unwrap();
    evict(&mut cache, &ended).await;
    assert_eq!(cached(&replica, &ended).await, 0);

    replica.kill();
    let told = refusal(&mut cache, &ended, &[]).await;
    assert!(
        told.contains("0 of 1 replicas have taken it over"),
        "{told}"
    );
    replica.start_again().await;
    follows(&replica).await;
    evict(&mut cache, &ended).await;

    settings.servers = vec![replica.url()];
    settings.min_replicas = None;
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("it is a replica"), "{told}");
}

async fn what_a_replica_still_has_is_not_evicted(master: &CacheServer, replica: &CacheServer) {
    wait_until("the replica follows", || async {
        let info: String = replica.ask("INFO replication").await.unwrap_or_default();
        info.contains("master_link_status:up")
    })
    .await;
    let ended = session_keys(10);
    fill(master, &ended).await;
    let () = master.ask("WAIT 1 5000").await.unwrap();
    // Connected, and takes nothing in any more.
    replica.signal("STOP");
    // What a logout does; there is nothing left to evict on the master.
    let entries: Vec<_> = ended.iter().map(|key| entry(key)).collect();
    let () = master.connect().await.del(&entries).await.unwrap();
    let mut settings = django(CacheKind::Redis, &[master.url()]);
    settings.min_replicas = Some(1);
    for _ in 0..2 {
        let mut cache = Cache::open(&settings).unwrap();
        let told = refusal(&mut cache, &ended, &[]).await;
        assert!(
            told.contains("0 of 1 replicas have taken it over"),
            "{told}"
        );
    }
    replica.signal("CONT");
    evict(&mut Cache::open(&settings).unwrap(), &ended).await;
    assert_eq!(cached(replica, &ended).await, 0);
    wait_until("what was written to prove it is gone", || async {
        master.ask::<usize>("DBSIZE").await.unwrap() == 0
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_gone_from_the_master_alone_is_not_evicted() {
    let Some(master) = CacheServer::redis(&["repl-diskless-sync-delay 0"]).await else {
        return println!("{SKIPPED}");
    };
    let follow = format!("replicaof 127.0.0.1 {}", master.port);
    let replica = CacheServer::redis(&[&follow]).await.unwrap();
    what_a_replica_still_has_is_not_evicted(&master, &replica).await;
    // Releases after the one that Debian 12 has count otherwise, as Valkey does.
    let Some(master) = CacheServer::valkey(&["repl-diskless-sync-delay 0"]).await else {
        return println!("skipped: valkey-server is not installed");
    };
    let follow = format!("replicaof 127.0.0.1 {}", master.port);
    let replica = CacheServer::valkey(&[&follow]).await.unwrap();
    what_a_replica_still_has_is_not_evicted(&master, &replica).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_says_that_it_is_one_and_a_single_server_that_it_is_none() {
    let (Some(single), Some(node)) = (
        CacheServer::redis(&[]).await,
        CacheServer::redis(&[
            "cluster-enabled yes",
            &format!("cluster-port {}", free_port()),
        ])
        .await,
    ) else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(1);
    let settings = django(CacheKind::RedisCluster, &[single.url()]);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("set cache.kind = \"redis\""), "{told}");
    let settings = django(CacheKind::RedisCluster, &[node.url()]);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("does not serve every slot"), "{told}");
    let settings = django(CacheKind::Redis, &[node.url()]);
    let told = refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("cluster"), "{told}");
    drop(connect(&node.url()).await);
}
