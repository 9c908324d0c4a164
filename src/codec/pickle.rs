//! Python's pickle, told apart so that the operator learns why a session cannot be read.

/// Whether data begins and ends like a pickle of protocol 2 or later. Only Python reads pickles, by running them.
pub(super) fn is_pickle(data: &[u8]) -> bool {
    matches!(data, [0x80, 2..=5, .., b'.'])
}
