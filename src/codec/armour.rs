//! Base64 as web frameworks write it.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Reason;

// With or without padding, and whatever the unused bits are: the frameworks' own decoders mind neither.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

// Made once: each has a table.
static OF_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
static USUAL: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

/// Decodes the URL-safe alphabet.
pub(super) fn url_safe(text: &[u8]) -> Result<Vec<u8>, Reason> {
    decode(&OF_URLS, text)
}

/// Decodes the usual alphabet, over any number of lines.
pub(super) fn standard(text: &[u8]) -> Result<Vec<u8>, Reason> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    decode(&USUAL, &text)
}

fn decode(engine: &GeneralPurpose, text: &[u8]) -> Result<Vec<u8>, Reason> {
    engine.decode(text).map_err(|_| Reason::NotBase64)
}
