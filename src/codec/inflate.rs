//! Decompression that stops at a limit.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use super::{MAX_BYTES, Reason};

/// Inflates a zlib stream (RFC 1950). A kilobyte can ask for a megabyte, and four megabytes for four gigabytes:
/// what grows past [`MAX_BYTES`] is given up there, with no more memory taken.
pub(super) fn zlib(packed: &[u8]) -> Result<Vec<u8>, Reason> {
    decompress_to_vec_zlib_with_limit(packed, MAX_BYTES).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => Reason::TooLarge,
        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => Reason::Truncated,
        _ => Reason::NotZlib,
    })
}
