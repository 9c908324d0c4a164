//! A TCP proxy in front of a server, for what networks do to connections: cut them, refuse them, or keep them
//! open and let nothing through, which no socket ever notices.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A proxy on a free port of this machine. Dropping it cuts everything.
pub struct Proxy {
    address: SocketAddr,
    server_port: u16,
    wires: Arc<Mutex<Wires>>,
    accepting: JoinHandle<()>,
}

/// What happens to the connections that were opened since the last event.
#[derive(Clone, Default)]
struct Wires {
    cut: CancellationToken,
    silence: CancellationToken,
}

impl Proxy {
    /// Starts one in front of a server of this machine; it lets everything through.
    pub async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wires = Arc::default();
        Self {
            address: listener.local_addr().unwrap(),
            server_port,
            accepting: tokio::spawn(accept(listener, server_port, Arc::clone(&wires))),
            wires,
        }
    }

    /// The superuser's way into a database through it.
    pub fn url(&self, database: &str) -> String {
        let port = self.address.port();
        format!("postgresql://postgres@127.0.0.1:{port}/{database}")
    }

    /// Closes every connection. New ones are let through.
    pub fn cut(&self) {
        let old = std::mem::take(&mut *self.wires.lock().unwrap());
        old.cut.cancel();
    }

    /// Keeps every connection open and lets nothing through any more, not even after [`Self::restore`]. New
    /// ones are accepted and get no answer.
    pub fn black_hole(&self) {
        self.wires.lock().unwrap().silence.cancel();
    }

    /// Closes every connection and the port.
    pub async fn refuse(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.cut();
    }

    /// Lets new connections through again.
    pub async fn restore(&mut self) {
        self.wires.lock().unwrap().silence = CancellationToken::new();
        if self.accepting.is_finished() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            let wires = Arc::clone(&self.wires);
            self.accepting = tokio::spawn(accept(listener, self.server_port, wires));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, server_port: u16, wires: Arc<Mutex<Wires>>) {
    while let Ok((client, _)) = listener.accept().await {
        let wires = wires.lock().unwrap().clone();
        tokio::spawn(async move {
            let cut = wires.cut.clone();
            cut.run_until_cancelled(carry(client, server_port, wires.silence))
                .await;
        });
    }
}

async fn carry(mut client: TcpStream, server_port: u16, silence: CancellationToken) {
    let Some(Ok(mut server)) = silence
        .run_until_cancelled(TcpStream::connect(("127.0.0.1", server_port)))
        .await
    else {
        if silence.is_cancelled() {
            std::future::pending::<()>().await;
        }
        return;
    };
    let carried = silence.run_until_cancelled(copy_bidirectional(&mut client, &mut server));
    if carried.await.is_none() {
        // Both sockets stay open: neither end has anything to notice.
        std::future::pending::<()>().await;
    }
}
