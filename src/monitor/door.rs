//! Where others knock: a port of this machine, or a Unix socket.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::settings::ListenOn;

/// The door could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}, which metrics.listen names: {reason}; {advice}")]
pub struct Error {
    place: String,
    reason: io::Error,
    advice: &'static str,
}

/// An open door.
pub struct Door(Kind);

enum Kind {
    Address(TcpListener),
    Socket(UnixListener, PathBuf),
}

/// The same in the runtime of the responder.
pub enum Waiting {
    /// On an address.
    Address(tokio::net::TcpListener),
    /// On a socket, whose file goes with it.
    Socket(tokio::net::UnixListener, PathBuf),
}

/// A client that has come in.
pub trait Visitor: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Visitor for T {}

impl Door {
    /// Opens it, so that nothing of it is left to fail later.
    ///
    /// # Errors
    /// Where another process has the place, or we are not allowed to take it.
    pub fn open(on: &ListenOn) -> Result<Self, Error> {
        match on {
            ListenOn::Address(address) => TcpListener::bind(address)
                .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                .map(|listener| Self(Kind::Address(listener)))
                .map_err(|reason| Error {
                    place: address.to_string(),
                    reason,
                    advice: "take another port, or stop who has this one",
                }),
            ListenOn::Socket(path) => bind_socket(path)
                .map(|listener| Self(Kind::Socket(listener, path.clone())))
                .map_err(|reason| Error {
                    place: path.display().to_string(),
                    reason,
                    advice: "take another path, in a directory that the daemon may write to, such as that of RuntimeDirectory= in the unit",
                }),
        }
    }

    /// Whether it is a port, to which a browser may be led by a name.
    pub fn is_port(&self) -> bool {
        matches!(self.0, Kind::Address(_))
    }

    /// Hands it to the runtime that this is called in.
    ///
    /// # Errors
    /// Where the runtime cannot watch it.
    pub fn wait(self) -> io::Result<Waiting> {
        Ok(match self.0 {
            Kind::Address(listener) => {
                Waiting::Address(tokio::net::TcpListener::from_std(listener)?)
            }
            Kind::Socket(listener, path) => {
                Waiting::Socket(tokio::net::UnixListener::from_std(listener)?, path)
            }
        })
    }
}

/// A socket that a dead daemon has left behind is removed; one that a process listens on is not. Every user may connect,
/// as to a port: the directory decides who gets there.
fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    let is_left_over = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err();
    if is_left_over {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Waiting {
    /// The next client that comes in.
    ///
    /// # Errors
    /// Those of the operating system, such as too many open files; the next one may fare better.
    pub async fn next(&self) -> io::Result<Box<dyn Visitor>> {
        Ok(match self {
            Self::Address(listener) => Box::new(listener.accept().await?.0),
            Self::Socket(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Self::Socket(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}
