//! Memcached, one server and several.

use session_reaper::{cache::Cache, settings::CacheKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{django, entry, evict, refusal, server::CacheServer, session_keys};

const SKIPPED: &str = "skipped: memcached is not installed (Debian's package is called memcached)";

/// What a client's hashing would have done, by hand.
pub async fn put(server: &CacheServer, session_keys: &[String]) {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    for some in session_keys.chunks(100) {
        let set = |key: &String| format!("set {} 0 0 6\r\ncached\r\n", entry(key));
        let request: String = some.iter().map(set).collect();
        writer.write_all(request.as_bytes()).await.unwrap();
        for _ in some {
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "STORED");
        }
    }
}

/// How many of these are cached.
pub async fn cached(server: &CacheServer, session_keys: &[String]) -> usize {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut found = 0;
    for key in session_keys {
        let request = format!("get {}\r\n", entry(key));
        writer.write_all(request.as_bytes()).await.unwrap();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            found += usize::from(line.starts_with("VALUE "));
            if line == "END" {
                break;
            }
        }
    }
    found
}

async fn servers(count: usize) -> Option<Vec<CacheServer>> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(CacheServer::memcached().await?);
    }
    Some(servers)
}

fn addresses(servers: &[CacheServer]) -> Vec<String> {
    servers.iter().map(CacheServer::address).collect()
}

#[tokio::test]
async fn an_entry_is_evicted_from_whichever_server_it_is_on_even_from_several() {
    for count in [2, 3] {
        let Some(servers) = servers(count).await else {
            return println!("{SKIPPED}");
        };
        let (ended, others) = (session_keys(30), session_keys(5));
        for (server, some) in servers.iter().zip(ended.chunks(10)) {
            put(server, some).await;
            put(server, &ended[..3]).await;
            put(server, &others).await;
        }
        let settings = django(CacheKind::Memcached, &addresses(&servers));
        let mut cache = Cache::open(&settings).unwrap();
        cache.evict(&ended).await.unwrap();
        cache.evict(&ended).await.unwrap();
        for server in &servers {
            assert_eq!(cached(server, &ended).await, 0);
            assert_eq!(cached(server, &others).await, 5);
        }
    }
}

#[tokio::test]
async fn as_long_as_one_server_is_down_nothing_is_confirmed_and_the_others_are_evicted_from() {
    let Some(mut servers) = servers(3).await else {
        return println!("{SKIPPED}");
    };
    let settings = django(CacheKind::Memcached, &addresses(&servers));
    let mut cache = Cache::open(&settings).unwrap();
    // More than is sent before the failure is known.
    let ended = session_keys(20_000);
    cache.evict(&ended).await.unwrap();
    servers[1].kill();
    put(&servers[0], &ended).await;
    let told = refusal(&mut cache, &ended, &[]).await;
    assert!(
        told.contains(&servers[1].address()) && told.contains("nothing listens there"),
        "{told}"
    );
    assert_eq!(cached(&servers[0], &ended[19_900..]).await, 0);
    servers[1].start_again().await;
    put(&servers[1], &ended).await;
    evict(&mut cache, &ended).await;
    for server in &servers {
        assert_eq!(cached(server, &ended[19_900..]).await, 0);
    }
}

#[tokio::test]
async fn a_key_that_memcached_cannot_hold_is_no_command_to_it() {
    let Some(servers) = servers(1).await else {
        return println!("{SKIPPED}");
    };
    let (ended, others) = (session_keys(2), session_keys(3));
    put(&servers[0], &ended).await;
    put(&servers[0], &others).await;
    let hostile = [
        ended[0].clone(),
        "a\r\nflush_all".to_owned(),
        "a b".to_owned(),
        "a\0b".to_owned(),
        "k".repeat(300),
        format!("x\r\ndelete {}", entry(&others[0])),
        ended[1].clone(),
    ];
    let settings = django(CacheKind::Memcached, &addresses(&servers));
    Cache::open(&settings)
        .unwrap()
        .evict(&hostile)
        .await
        .unwrap();
    assert_eq!(cached(&servers[0], &ended).await, 0);
    assert_eq!(cached(&servers[0], &others).await, 3);
}

#[tokio::test]
async fn a_socket_will_do() {
    let Some(server) = CacheServer::memcached_on_a_socket().await else {
        return println!("{SKIPPED}");
    };
    let settings = django(CacheKind::Memcached, &[server.socket()]);
    let mut cache = Cache::open(&settings).unwrap();
    evict(&mut cache, &session_keys(10)).await;
    assert_eq!(
        cache.describe(),
        format!("Memcached on {}", server.socket())
    );
}
