//! Decompression that stops at a limit.

use std::cell::RefCell;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress,
        inflate_flags::{TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF},
    },
};

use super::{MAX_BYTES, Reason};

thread_local! {
    /// Its tables are larger than most sessions, and to clear them takes longer than to inflate one.
    static DECOMPRESSOR: RefCell<Box<DecompressorOxide>> = RefCell::default();
}

/// Inflates a zlib stream (RFC 1950). A kilobyte can ask for a megabyte, and four megabytes for four gigabytes:
/// what grows past [`MAX_BYTES`] is given up there, with no more memory taken.
pub(super) fn zlib(packed: &[u8]) -> Result<Vec<u8>, Reason> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor.init();
        inflate(decompressor, packed)
    })
}

fn inflate(decompressor: &mut DecompressorOxide, mut packed: &[u8]) -> Result<Vec<u8>, Reason> {
    const FLAGS: u32 = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut plain = vec![0; packed.len().saturating_mul(2).clamp(64, MAX_BYTES)];
    let mut written = 0;
    loop {
        let (status, read, more) = decompress(decompressor, packed, &mut plain, written, FLAGS);
        packed = packed.get(read..).unwrap_or_default();
        written += more;
        match status {
            TINFLStatus::Done => {
                plain.truncate(written);
                return Ok(plain);
            }
            TINFLStatus::HasMoreOutput if plain.len() < MAX_BYTES => {
                plain.resize(plain.len().saturating_mul(2).min(MAX_BYTES), 0);
            }
            TINFLStatus::HasMoreOutput => return Err(Reason::TooLarge),
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                return Err(Reason::Truncated);
            }
            _ => return Err(Reason::NotZlib),
        }
    }
}
