//! The network between daemons and server, and what can go wrong with it.

use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

/// What befalls each connection with an even chance.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// Closed at once.
    Cut,
    /// Nothing passes for a while; then everything does.
    Stall(Duration),
    /// Nothing passes for a while; then it is closed, as the kernel does when nobody acknowledges.
    Silence(Duration),
}

/// A proxy on a port of its own. Dropping it closes every connection.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    target: AtomicU16,
    weather: broadcast::Sender<Weather>,
    /// Until then, new connections get no answer either.
    silent_until: Mutex<Instant>,
}

impl Proxy {
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            weather: broadcast::channel(16).0,
            silent_until: Mutex::new(Instant::now()),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            port,
            shared,
            acceptor,
        }
    }

    /// From now on the server is over there. Connections to the old one stay as long as that does.
    pub fn point_at(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
    }

    pub fn strike(&self, weather: Weather) {
        if let Weather::Silence(length) = weather {
            *self.shared.silent_until.lock().unwrap() = Instant::now() + length;
        }
        // Nobody may be connected.
        let _ = self.shared.weather.send(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let mut weather = shared.weather.subscribe();
    let silent_until = *shared.silent_until.lock().unwrap();
    sleep_until(silent_until).await;
    let target = shared.target.load(Ordering::Relaxed);
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let mut copying = pin!(copy_bidirectional(&mut client, &mut server));
    loop {
        let struck = async {
            match weather.recv().await {
                Ok(weather) => weather,
                Err(_) => pending().await,
            }
        };
        tokio::select! {
            _ = &mut copying => return,
            weather = struck => if fastrand::bool() {
                match weather {
                    Weather::Cut => return,
                    Weather::Stall(length) => sleep(length).await,
                    Weather::Silence(length) => return sleep(length).await,
                }
            }
        }
    }
}
