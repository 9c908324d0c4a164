//! Memcached: every entry is deleted on every server.
//!
//! Which server an app's client has put an entry on could be computed, for each client and each of its ways to hash. But
//! clients go to another server while one looks dead to them, each process by its own judgement, and come back to the
//! first one later: an entry may be anywhere, even twice. Deleting what is not there costs nothing.
//!
//! The text protocol, since every server speaks it unless it is started for SASL, which only the binary protocol has. A
//! delete counts when its reply has come: one that asks for none is confirmed by nothing.

use std::io;

use futures_util::future::{join_all, try_join};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, split};
use tokio::time::Instant;

use super::Error;
use super::address::Address;
use super::error::Failure;
use super::wire::{self, Wire};

/// Longer keys are refused by servers and clients.
const LONGEST_KEY: usize = 250;

/// Longer than the longest reply that is expected.
const LONGEST_REPLY: u64 = 64;

pub(super) struct Memcached(Vec<Server>);

struct Server {
    address: Address,
    wire: Option<Box<dyn Wire>>,
}

impl Memcached {
    pub fn new(addresses: Vec<Address>) -> Self {
        let server = |address| Server {
            address,
            wire: None,
        };
        Self(addresses.into_iter().map(server).collect())
    }

    pub fn is_connected(&self) -> bool {
        self.0.iter().any(|server| server.wire.is_some())
    }

    pub async fn evict(&mut self, entries: &[String], deadline: Instant) -> Result<(), Error> {
        let mut request = Vec::new();
        let mut count = 0;
        for entry in entries.iter().filter(|entry| can_be_held(entry)) {
            request.extend_from_slice(b"delete ");
            request.extend_from_slice(entry.as_bytes());
            request.extend_from_slice(b"\r\n");
            count += 1;
        }
        // All servers are asked to the end: what can be evicted is evicted, even if others fail.
        let asked = self.0.iter_mut();
        let asked = asked.map(|server| server.delete(&request, count, deadline));
        join_all(asked).await.into_iter().collect()
    }
}

/// Other keys are in no Memcached, and in a request they would turn into another request.
fn can_be_held(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
        && !key.bytes().any(|byte| byte <= b' ' || byte == b'\x7f')
}

impl Server {
    async fn delete(
        &mut self,
        request: &[u8],
        count: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        // Taken out: replies that were not waited for would be taken for those of the next request.
        let taken = self.wire.take();
        let work = async {
            let connected = match taken {
                Some(wire) => Ok(wire),
                None => wire::connect(&self.address, None).await,
            };
            converse(
                connected.map_err(|error| Failure::of_io(&error))?,
                request,
                count,
            )
            .await
        };
        match wire::by(deadline, work).await {
            Ok(wire) => {
                self.wire = Some(wire);
                Ok(())
            }
            Err(failure) => Err(Error::at(&self.address)(failure)),
        }
    }
}

/// Writes and reads at once: a server that cannot get rid of its replies stops reading.
async fn converse(
    wire: Box<dyn Wire>,
    request: &[u8],
    count: usize,
) -> Result<Box<dyn Wire>, Failure> {
    let (reader, mut writer) = split(wire);
    let write = async {
        let written = writer.write_all(request).await;
        written.map_err(|error| Failure::of_io(&error))
    };
    let read = async {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        for _ in 0..count {
            line.clear();
            let mut bounded = (&mut reader).take(LONGEST_REPLY);
            bounded
                .read_until(b'\n', &mut line)
                .await
                .map_err(|error: io::Error| Failure::of_io(&error))?;
            confirm(&line)?;
        }
        Ok(reader.into_inner())
    };
    let ((), reader) = try_join(write, read).await?;
    Ok(reader.unsplit(writer))
}

fn confirm(reply: &[u8]) -> Result<(), Failure> {
    match reply {
        b"DELETED\r\n" | b"NOT_FOUND\r\n" => Ok(()),
        reply if reply.ends_with(b"\n") => Err(Failure::Refuses),
        _ => Err(Failure::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_memcached_cannot_hold_are_told() {
        assert!(can_be_held(&"k".repeat(250)) && can_be_held("schlüssel"));
        for key in [
            "",
            "a b",
            "a\r\nflush_all",
            "a\0",
            "a\x7f",
            &"ü".repeat(126),
        ] {
            assert!(!can_be_held(key));
        }
    }
}
