//! Asks over plain streams, so that what is sent and what comes back is all there is.

use std::{net::TcpListener, path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::stage::{
    figures::{Figures, parse},
    program::Daemon,
    wait_until,
};

/// A port of this machine on which a daemon answers.
#[derive(Clone, Copy)]
pub struct Port(u16);

/// What came back.
#[derive(Debug)]
pub struct Asked {
    /// As a number.
    pub status: u16,
    /// The line of the status and the headers, in lower case.
    pub head: String,
    /// The rest.
    pub body: String,
}

/// One that nobody has at the moment.
pub fn free_port() -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Port(listener.local_addr().unwrap().port())
}

/// A daemon with a quick heart, and the port on which it is asked.
pub async fn watched(url: &str) -> (Daemon, Port) {
    let port = free_port();
    let listen = format!("127.0.0.1:{}", port.0);
    let variables = [
        ("SESSION_REAPER_METRICS_LISTEN", listen.as_str()),
        ("SESSION_REAPER_LISTEN_HEARTBEAT_S", "1"),
    ];
    let daemon = Daemon::start_with(url, &[], &variables);
    wait_until("it can be asked", || async {
        TcpStream::connect(("127.0.0.1", port.0)).await.is_ok()
    })
    .await;
    (daemon, port)
}

impl Port {
    pub fn number(self) -> u16 {
        self.0
    }

    pub async fn connect(self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.0)).await.unwrap()
    }

    /// Asks for a path as Prometheus does.
    pub async fn get(self, path: &str) -> Asked {
        self.ask("GET", path, "").await
    }

    /// The figures.
    pub async fn figures(self) -> Figures {
        parse(&self.get("/metrics").await.said(200))
    }

    /// Asks in another way, with further lines of the head.
    pub async fn ask(self, method: &str, path: &str, headers: &str) -> Asked {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: 127.0.0.1:{}\r\n", self.0)
        };
        let request = format!("{method} {path} HTTP/1.1\r\n{host}{headers}\r\n");
        Asked::over(self.connect().await, &request).await
    }
}

impl Asked {
    pub async fn over_socket(path: &Path, request: &str) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap(), request).await
    }

    /// Sends all of it, and reads until the other side hangs up, as it does after one answer.
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Self {
        stream.write_all(request.as_bytes()).await.unwrap();
        Self::from(stream).await
    }

    pub async fn from<S: AsyncRead + Unpin>(mut stream: S) -> Self {
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
        // Whoever is not let finish may find the connection reset behind the answer.
        let _ = read.expect("it hangs up");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// What it says, where it says it with this status.
    #[track_caller]
    pub fn said(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.body.clone()
    }
}
