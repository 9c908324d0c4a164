//! The journal's own protocol: each line with its priority, its fields, and a message that contains all of it.
//! `journalctl` and `systemctl status` show nothing but the message, so the reason is in it, and not only in a field.

use std::os::unix::net::UnixDatagram;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::line::Line;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Writes to the journal.
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// None where there is no journal.
    pub fn open() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        // Nothing is written, which the journal takes for what it is.
        socket.send_to(&[], SOCKET).ok()?;
        Some(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (line, metadata) = (Line::of(event), event.metadata());
        let (priority, text) = (priority(metadata.level()), line.text());
        let mut entry = Vec::new();
        put(&mut entry, "PRIORITY", priority);
        put(&mut entry, "SYSLOG_IDENTIFIER", "session-reaper");
        put(&mut entry, "TARGET", metadata.target());
        put(&mut entry, "MESSAGE", &text);
        for (name, value) in &line.fields {
            put(&mut entry, &field_name(name), value);
        }
        // The journal may be starting again. What systemd reads there instead arrives with its priority, too.
        if self.0.send_to(&entry, SOCKET).is_err() {
            eprintln!("<{priority}>{text}");
        }
    }
}

/// What syslog calls it.
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// The journal takes capitals, digits and underlines; with a prefix, none of our fields is taken for one of the
/// journal's own.
fn field_name(name: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("F_{}", name.chars().map(legal).collect::<String>())
}

/// With the length in front, a value may hold anything and cannot forge a field.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_line_breaks_forges_no_field() {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", "one\nPRIORITY=0");
        assert_eq!(entry, b"MESSAGE\n\x0e\0\0\0\0\0\0\0one\nPRIORITY=0\n");
        assert_eq!(field_name("retry_ms"), "F_RETRY_MS");
        assert_eq!(field_name("log.line"), "F_LOG_LINE");
    }
}
