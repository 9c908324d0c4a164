//! A cluster of three masters, on one machine.

use redis::{AsyncCommands, RedisResult, Value};
use session_reaper::{cache::Cache, settings, settings::CacheKind};

use super::{
    django, entry, evict,
    server::{CacheServer, command, free_port},
    session_keys,
};
use crate::stage::wait_until;

const SKIPPED: &str = "skipped: redis-server is not installed (Debian's redis-tools has it)";

const SLOTS: u32 = 16_384;

pub struct Cluster {
    pub nodes: Vec<CacheServer>,
}

impl Cluster {
    /// Three masters with a third of the slots each.
    pub async fn start() -> Option<Self> {
        Self::of(3).await
    }

    async fn of(masters: u32) -> Option<Self> {
        let mut cluster = Self { nodes: Vec::new() };
        for nth in 0..masters {
            let node = cluster.add_node().await?;
            let first = SLOTS * nth / masters;
            let last = SLOTS * (nth + 1) / masters - 1;
            let own = format!("CLUSTER ADDSLOTSRANGE {first} {last}");
            let () = cluster.nodes[node].ask(&own).await.unwrap();
            let epoch = format!("CLUSTER SET-CONFIG-EPOCH {}", nth + 1);
            let () = cluster.nodes[node].ask(&epoch).await.unwrap();
        }
        cluster.meet().await;
        Some(cluster)
    }

    async fn add_node(&mut self) -> Option<usize> {
        let bus = format!("cluster-port {}", free_port());
        let conf = ["cluster-enabled yes", "cluster-node-timeout 1000", &bus];
        self.nodes.push(CacheServer::redis(&conf).await?);
        Some(self.nodes.len() - 1)
    }

    /// One more node, as the replica of the first.
    async fn add_replica(&mut self) -> usize {
        let replica = self.add_node().await.unwrap();
        self.meet().await;
        let node = &self.nodes[replica];
        let follow = format!("CLUSTER REPLICATE {}", self.id(0).await);
        let () = node.ask(&follow).await.unwrap();
        wait_until("the replica follows", || async {
            let info: String = node.ask("INFO replication").await.unwrap_or_default();
            info.contains("master_link_status:up")
        })
        .await;
        replica
    }

    async fn meet(&self) {
        for node in &self.nodes {
            for other in &self.nodes {
                let bus: Vec<String> = other.ask("CONFIG GET cluster-port").await.unwrap();
                let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, bus[1]);
                let () = node.ask(&meet).await.unwrap();
            }
        }
        wait_until("the nodes have met", || self.is_whole()).await;
    }

    async fn is_whole(&self) -> bool {
        for node in &self.nodes {
            let info: String = node.ask("CLUSTER INFO").await.unwrap_or_default();
            let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
            if !info.contains("cluster_state:ok") || !info.contains(&known) {
                return false;
            }
        }
        true
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].ask("CLUSTER MYID").await.unwrap()
    }

    /// These masters have no replicas.
    pub fn settings(&self) -> settings::Cache {
        let servers = [self.nodes[0].url(), self.nodes[1].url()];
        let mut settings = django(CacheKind::RedisCluster, &servers);
        settings.min_replicas = Some(0);
        settings
    }

    /// Puts each entry where it belongs, and returns the ones of the first node.
    pub async fn fill(&self, session_keys: &[String]) -> Vec<String> {
        let mut of_first = Vec::new();
        let mut connections = Vec::new();
        for node in &self.nodes {
            connections.push(node.connect().await);
        }
        for key in session_keys {
            for (nth, connection) in connections.iter_mut().enumerate() {
                let set: RedisResult<()> = connection.set(entry(key), 1).await;
                if set.is_ok() {
                    if nth == 0 {
                        of_first.push(key.clone());
                    }
                    break;
                }
            }
        }
        of_first
    }

    /// What is left anywhere.
    pub async fn left(&self) -> usize {
        let mut left = 0;
        for node in &self.nodes {
            left += node.ask::<usize>("DBSIZE").await.unwrap_or(0);
        }
        left
    }

    async fn slot(&self, session_key: &str) -> u32 {
        let ask = format!("CLUSTER KEYSLOT {}", entry(session_key));
        self.nodes[0].ask(&ask).await.unwrap()
    }
}

#[tokio::test]
async fn entries_in_all_slots_are_evicted() {
    let Some(cluster) = Cluster::start().await else {
        return println!("{SKIPPED}");
    };
    let (ended, others) = (session_keys(3000), session_keys(10));
    cluster.fill(&ended).await;
    cluster.fill(&others).await;
    assert_eq!(cluster.left().await, 3010);
    let mut cache = Cache::open(&cluster.settings()).unwrap();
    cache.evict(&ended).await.unwrap();
    assert_eq!(cluster.left().await, 10);
    assert!(cache.describe().starts_with("Redis cluster on 127.0.0.1:"));
}

#[tokio::test]
async fn a_slot_that_is_being_handed_over_and_one_that_has_been_are_evicted_from() {
    let Some(cluster) = Cluster::start().await else {
        return println!("{SKIPPED}");
    };
    // One hash tag, so that they share a slot.
    let mut settings = cluster.settings();
    let sharing = |text: String| text.replace("cached_db", "cached_db{}tag}");
    settings.key = settings.key.map(sharing);
    let entry_of = |key: &str| entry(key).replace("cached_db", "cached_db{tag}");
    let mut cache = Cache::open(&settings).unwrap();
    let ended = session_keys(40);
    let slot: u32 = cluster.nodes[0]
        .ask(&format!("CLUSTER KEYSLOT {}", entry_of(&ended[0])))
        .await
        .unwrap();
    let from = usize::try_from(slot / SLOTS.div_ceil(3)).unwrap();
    let to = (from + 1) % 3;
    let mut connection = cluster.nodes[from].connect().await;
    let fill = async |connection: &mut redis::aio::MultiplexedConnection| {
        for key in &ended {
            let () = connection.set(entry_of(key), 1).await.unwrap();
        }
    };
    fill(&mut connection).await;
    let (giver, taker) = (cluster.id(from).await, cluster.id(to).await);
    let importing = format!("CLUSTER SETSLOT {slot} IMPORTING {giver}");
    let () = cluster.nodes[to].ask(&importing).await.unwrap();
    let migrating = format!("CLUSTER SETSLOT {slot} MIGRATING {taker}");
    let () = cluster.nodes[from].ask(&migrating).await.unwrap();
    // Half of them are there, half are still here.
    for key in &ended[..20] {
        let port = cluster.nodes[to].port;
        let hand_over = format!("MIGRATE 127.0.0.1 {port} {} 0 5000", entry_of(key));
        let () = cluster.nodes[from].ask(&hand_over).await.unwrap();
    }
    assert_eq!(cluster.nodes[to].ask::<usize>("DBSIZE").await.unwrap(), 20);
    cache.evict(&ended).await.unwrap();
    assert_eq!(cluster.left().await, 0);

    for node in [to, from, 3 - to - from] {
        let given = format!("CLUSTER SETSLOT {slot} NODE {taker}");
        let () = cluster.nodes[node].ask(&given).await.unwrap();
    }
    fill(&mut cluster.nodes[to].connect().await).await;
    assert_eq!(cluster.left().await, 40);
    cache.evict(&ended).await.unwrap();
    assert_eq!(cluster.left().await, 0);
}

#[tokio::test]
async fn a_node_that_failed_over_is_found_again() {
    let Some(mut cluster) = Cluster::start().await else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(300);
    let of_first = cluster.fill(&ended).await;
    let mut cache = Cache::open(&cluster.settings()).unwrap();
    let replica = cluster.add_replica().await;
    cache.evict(&ended[..1]).await.unwrap();

    cluster.nodes[0].kill();
    evict(&mut cache, &ended).await;
    let role: Vec<Value> = cluster.nodes[replica].ask("ROLE").await.unwrap();
    assert_eq!(role[0], Value::BulkString(b"master".to_vec()));
    assert!(of_first.len() > 50, "it had some of them");
    assert_eq!(cluster.left().await, 0);
}

#[tokio::test]
async fn with_a_replica_an_eviction_counts_once_that_has_it() {
    let Some(mut cluster) = Cluster::of(1).await else {
        return println!("{SKIPPED}");
    };
    let replica = cluster.add_replica().await;
    let ended = session_keys(100);
    cluster.fill(&ended).await;
    let mut settings = django(CacheKind::RedisCluster, &[cluster.nodes[0].url()]);
    settings.timeout_s = 4;
    evict(&mut Cache::open(&settings).unwrap(), &ended).await;
    let entries: Vec<_> = ended.iter().map(|key| entry(key)).collect();
    let mut asked = cluster.nodes[replica].connect().await;
    let () = command("READONLY").query_async(&mut asked).await.unwrap();
    for entry in entries {
        assert!(!asked.exists::<_, bool>(entry).await.unwrap());
    }
    cluster.nodes[replica].signal("STOP");
    let mut cache = Cache::open(&settings).unwrap();
    let told = super::refusal(&mut cache, &ended, &[]).await;
    assert!(told.contains("0 of 1 replicas"), "{told}");
    cluster.nodes[replica].signal("CONT");
    evict(&mut cache, &ended).await;
}

#[tokio::test]
async fn without_replicas_nothing_counts_unless_the_settings_say_so_and_a_user_needs_two_rights_more()
 {
    let Some(cluster) = Cluster::start().await else {
        return println!("{SKIPPED}");
    };
    let ended = session_keys(100);
    cluster.fill(&ended).await;
    let mut settings = cluster.settings();
    settings.min_replicas = None;
    let told = super::refusal(&mut Cache::open(&settings).unwrap(), &ended, &[]).await;
    assert!(told.contains("0 of 1 replicas"), "{told}");
    assert_eq!(cluster.left().await, 0);

    for node in &cluster.nodes {
        let user = "ACL SETUSER reaper on >s3cret resetkeys ~*cached_db* -@all +unlink +cluster|slots +asking";
        let () = node.ask(user).await.unwrap();
    }
    cluster.fill(&ended).await;
    settings = cluster.settings();
    settings.user = Some("reaper".to_owned());
    let file = cluster.nodes[0].dir().join("password");
    std::fs::write(&file, "s3cret").unwrap();
    settings.password_file = Some(file);
    let mut cache = Cache::open(&settings).unwrap();
    evict(&mut cache, &ended).await;
    assert_eq!(cluster.left().await, 0);
    assert!(cluster.slot(&ended[0]).await < SLOTS);
}
