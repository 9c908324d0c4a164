//! Decompression that stops at a limit.

use std::cell::RefCell;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{MAX_BYTES, Reason};

/// Most sessions fit into this many bytes, and a decompressor that need not count them is faster.
const FEW_BYTES: usize = 1024;

/// 32 KiB back, which is as far as a zlib stream may refer.
const WINDOW_BITS: u8 = 15;

thread_local! {
    /// Its tables and its window are larger than most sessions: a new one each time takes an eighth longer.
    static INFLATER: RefCell<Inflate> = RefCell::new(Inflate::new(true, WINDOW_BITS));
}

/// Inflates a zlib stream (RFC 1950). A kilobyte can ask for a megabyte, and four megabytes for four gigabytes:
/// what grows past [`MAX_BYTES`] is given up there, with no more memory taken.
pub(super) fn zlib(packed: &[u8]) -> Result<Vec<u8>, Reason> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(true);
        inflate(inflater, packed)
    })
}

fn inflate(inflater: &mut Inflate, packed: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut plain = vec![0; packed.len().saturating_mul(2).clamp(FEW_BYTES, MAX_BYTES)];
    let (mut read, mut written) = (0, 0);
    loop {
        let status = inflater
            .decompress(&packed[read..], &mut plain[written..], InflateFlush::Finish)
            .map_err(|_| Reason::NotZlib)?;
        read = inflater.total_in() as usize;
        written = inflater.total_out() as usize;
        if status == Status::StreamEnd {
            plain.truncate(written);
            return Ok(plain);
        }
        if written < plain.len() {
            return Err(Reason::Truncated);
        }
        if written == MAX_BYTES {
            return Err(Reason::TooLarge);
        }
        plain.resize(plain.len().saturating_mul(2).min(MAX_BYTES), 0);
    }
}
