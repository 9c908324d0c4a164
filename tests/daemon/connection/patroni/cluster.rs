//! Two servers under Patroni, which agrees with itself through one etcd. Everything is on loopback ports and in
//! temporary directories of its own.

use std::{fs, path::Path, time::Duration};

use session_reaper::{demo::server::find_programs, settings::Environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_postgres::{Client, NoTls};

use super::process::Process;
use crate::stage::{find_program, wait_until};

/// A server and the Patroni that manages it.
pub struct Node {
    name: &'static str,
    process: Process,
    server_port: u16,
    rest_port: u16,
}

/// The two of them.
pub struct Cluster {
    pub nodes: [Node; 2],
    _etcd: Process,
}

impl Cluster {
    /// Starts it and waits until the second one is a synchronous standby; none where a program is missing.
    pub async fn start() -> Option<Self> {
        let (etcd, patroni) = (find_program("etcd")?, find_program("patroni")?);
        // Which servers without a client's programs lack.
        let client = find_programs(&Environment::of_process())
            .unwrap()
            .join("pg_isready");
        if !client.is_file() {
            return None;
        }
        let (etcd, port) = start_etcd(&etcd).await;
        let nodes = [Node::new("one", port), Node::new("two", port)];
        let mut cluster = Self { nodes, _etcd: etcd };
        for node in &mut cluster.nodes {
            let configuration = node.process.dir().join("patroni.yml");
            node.process
                .start(&patroni, &[configuration.to_str().unwrap()]);
            // The first one that comes up becomes the primary, so that no two servers are initialised side by side.
            node.answers("/health").await;
        }
        let [_, standby] = &cluster.nodes;
        standby.is_synchronous().await;
        Some(cluster)
    }

    /// Both servers in one connection string: the driver looks for the one that takes writes.
    pub fn url(&self, database: &str) -> String {
        let [one, two] = self.nodes.each_ref().map(|node| node.server_port);
        format!(
            "postgresql://postgres@127.0.0.1:{one},127.0.0.1:{two}/{database}?target_session_attrs=read-write"
        )
    }
}

impl Node {
    fn new(name: &'static str, etcd_port: u16) -> Self {
        let [server_port, rest_port] = free_ports();
        let process = Process::new();
        let node = Self {
            name,
            process,
            server_port,
            rest_port,
        };
        let file = node.process.dir().join("patroni.yml");
        fs::write(file, node.configuration(etcd_port)).unwrap();
        node
    }

    /// The leader's lease is short, so that a test does not wait for long, and a loop of a second may still be
    /// late by several before it lapses.
    fn configuration(&self, etcd_port: u16) -> String {
        let Self {
            name,
            server_port,
            rest_port,
            ..
        } = self;
        let dir = self.process.dir().display();
        let programs = find_programs(&Environment::of_process()).unwrap();
        let programs = programs.display();
        format!(
            "scope: tests
name: {name}
restapi: {{listen: '127.0.0.1:{rest_port}', connect_address: '127.0.0.1:{rest_port}'}}
etcd3: {{host: '127.0.0.1:{etcd_port}'}}
bootstrap:
  dcs:
    ttl: 10
    loop_wait: 1
    retry_timeout: 3
    synchronous_mode: true
  initdb: [{{auth: trust}}, {{encoding: UTF8}}, {{locale: C}}, no-sync]
postgresql:
  listen: 127.0.0.1:{server_port}
  connect_address: 127.0.0.1:{server_port}
  data_dir: {dir}/data
  bin_dir: {programs}
  pgpass: {dir}/pgpass
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
  basebackup: [{{checkpoint: fast}}, no-sync]
  parameters: {{unix_socket_directories: '{dir}', fsync: 'off', log_min_messages: warning}}
"
        )
    }

    /// Another connection to this server, whatever its role is; none while it takes none.
    pub async fn connect(&self, database: &str) -> Option<Client> {
        let url = format!(
            "postgresql://postgres@127.0.0.1:{}/{database}",
            self.server_port
        );
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// Waits until what is committed here is acknowledged only once the other one has it, too.
    pub async fn is_synchronous(&self) {
        self.answers("/synchronous").await;
    }

    /// Waits until Patroni says so of this server.
    #[track_caller]
    pub fn answers(&self, path: &str) -> impl Future<Output = ()> {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let what = format!("{} answers {path}", self.name);
        let port = self.rest_port;
        wait_until(&what, move || {
            let request = request.clone();
            async move {
                let answer = ask(port, &request).await;
                answer.is_some_and(|answer| answer.contains(" 200 "))
            }
        })
    }

    /// Has Patroni swap the roles of this one, the primary, and the other one.
    pub async fn hand_over_to(&self, other: &Self) {
        let body = format!(
            r#"{{"leader": "{}", "candidate": "{}"}}"#,
            self.name, other.name
        );
        let request = format!(
            "POST /switchover HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(self.rest_port, &request).await.unwrap_or_default();
        assert!(answer.contains(" 200 "), "{answer}");
    }

    /// Kills the server and its Patroni.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// One request and everything that comes back; none where nobody answers.
async fn ask(port: u16, request: &str) -> Option<String> {
    let talk = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    timeout(Duration::from_secs(60), talk).await.ok()?
}

async fn start_etcd(program: &Path) -> (Process, u16) {
    let [port, peer_port] = free_ports();
    let (clients, peers) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    let mut etcd = Process::new();
    let arguments = [
        ("--data-dir", "state"),
        ("--listen-client-urls", &clients),
        ("--advertise-client-urls", &clients),
        ("--listen-peer-urls", &peers),
        ("--initial-advertise-peer-urls", &peers),
        ("--initial-cluster", &format!("default={peers}")),
    ];
    let arguments: Vec<&str> = arguments
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    etcd.start(program, &arguments);
    wait_until("etcd is healthy", || async {
        let answer = ask(port, "GET /health HTTP/1.0\r\n\r\n").await;
        answer.is_some_and(|answer| answer.contains("\"true\""))
    })
    .await;
    (etcd, port)
}

/// Held at the same time, so that they differ.
fn free_ports() -> [u16; 2] {
    let held = [0; 2].map(|any| std::net::TcpListener::bind(("127.0.0.1", any)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
