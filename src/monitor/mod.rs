//! Answers over HTTP how the daemon is, for Prometheus, for what restarts it, and for people.
//!
//! It has its own thread and database connection: no worker ever waits for it, however often any client asks. Requests
//! are bounded in number, size and time, and change nothing. Nothing that happens here ends the daemon.

mod door;
mod figures;
mod observer;
mod page;
mod places;
mod responder;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use crate::{
    connection::Target,
    process::{pulse::Pulse, service_manager::Supervisor, shutdown::Stop},
    settings,
    worker::{InForce, failures::Failures},
};
pub use door::Door;
use door::{Visitor, Waiting};
use observer::Observer;
use places::Places;
use responder::Responder;

/// The least that the parser takes, and far more than a browser sends.
const MOST_BYTES: usize = 16 * 1024;

const MOST_HEADERS: usize = 64;

/// A client that has not sent its request by then is not waited for.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// From coming in to leaving, including a look that waits for another one and a reader that takes its time.
const LONGEST_VISIT: Duration = Duration::from_secs(15);

/// What it reports on.
pub struct Subject {
    /// Where to look.
    pub target: Target,
    /// The settings in force.
    pub settings: InForce,
    /// How the daemon is.
    pub supervisor: Supervisor,
    /// Whether its thread runs.
    pub pulse: Pulse,
    /// How often its workers have failed.
    pub failures: Failures,
}

/// Begins to answer, until it is time to stop.
///
/// # Errors
/// Where the operating system has no thread to give.
pub fn start(
    door: Door,
    metrics: &settings::Metrics,
    subject: Subject,
    stop: Stop,
) -> io::Result<JoinHandle<()>> {
    let is_local = !metrics.allow_remote && door.is_port();
    let responder = Arc::new(Responder {
        database: subject.target.describe(),
        observer: Arc::new(Observer::new(subject.target, subject.settings.clone())),
        settings: subject.settings,
        supervisor: subject.supervisor,
        pulse: subject.pulse,
        failures: subject.failures,
        started_at: SystemTime::now(),
        is_local,
        shows_page: metrics.page,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let watch = move || {
        runtime.block_on(async {
            match door.wait() {
                Ok(waiting) => {
                    stop.run_until_stopped(serve(&waiting, &responder)).await;
                }
                Err(error) => {
                    tracing::error!(%error, "metrics.listen is not answered; the daemon goes on")
                }
            }
        });
        // A name that is still being looked up must not keep the daemon from ending.
        runtime.shutdown_background();
    };
    std::thread::Builder::new()
        .name("monitor".to_owned())
        .spawn(watch)
}

async fn serve(waiting: &Waiting, responder: &Arc<Responder>) {
    let mut places = Places::default();
    loop {
        match waiting.next().await {
            Ok(visitor) => {
                let responder = Arc::clone(responder);
                let visit =
                    |has_asked| timeout(LONGEST_VISIT, receive(visitor, responder, has_asked));
                places.admit(visit).await;
            }
            Err(error) => {
                tracing::debug!(%error, "could not take a connection to metrics.listen");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One request per connection, so that no client stays.
async fn receive(visitor: Box<dyn Visitor>, responder: Arc<Responder>, has_asked: Arc<AtomicBool>) {
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        Arc::clone(&responder).answer(request)
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_REQUEST)
        .keep_alive(false)
        .max_buf_size(MOST_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(visitor), service);
    if let Err(error) = conversation.await {
        tracing::debug!(%error, "a connection to metrics.listen ended early");
    }
}
