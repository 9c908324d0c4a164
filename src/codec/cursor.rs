//! Reads bytes in order, never past their end, and never takes memory for what they claim to be.

use super::Reason;

#[derive(Clone, Copy)]
pub(super) struct Cursor<'d> {
    pub(super) data: &'d [u8],
    pub(super) at: usize,
}

impl<'d> Cursor<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Reason> {
        let byte = self.peek().ok_or(Reason::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next bytes, as many as the data claims there are.
    pub(super) fn take(&mut self, length: usize) -> Result<&'d [u8], Reason> {
        let end = self.at.checked_add(length).ok_or(Reason::Truncated)?;
        let taken = self.data.get(self.at..end).ok_or(Reason::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// The bytes before this one, which is passed, too.
    pub(super) fn until(&mut self, delimiter: u8) -> Result<&'d [u8], Reason> {
        let rest = &self.data[self.at..];
        let length = rest
            .iter()
            .position(|byte| *byte == delimiter)
            .ok_or(Reason::Truncated)?;
        self.at += length + 1;
        Ok(&rest[..length])
    }

    pub(super) fn expect(&mut self, expected: &[u8]) -> Result<(), Reason> {
        if self.take(expected.len())? == expected {
            Ok(())
        } else {
            Err(Reason::Malformed)
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }
}
