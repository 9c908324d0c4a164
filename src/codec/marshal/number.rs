//! Numbers, lengths and names.

use serde::de::Visitor;

use super::super::Reason;
use super::super::fault::Fault;
use super::Marshal;

impl<'de> Marshal<'de> {
    /// An integer of up to 32 bits: small ones are one byte, others a count of bytes and the bytes, lowest first.
    pub(super) fn integer(&mut self) -> Result<i64, Reason> {
        let first = i64::from(self.cursor.byte()?.cast_signed());
        let count = match first {
            -4..=4 => first.unsigned_abs() as usize,
            5.. => return Ok(first - 5),
            _ => return Ok(first + 5),
        };
        let mut bytes = if first < 0 { [0xff; 8] } else { [0; 8] };
        bytes[..count].copy_from_slice(self.cursor.take(count)?);
        Ok(i64::from_le_bytes(bytes))
    }

    pub(super) fn length(&mut self) -> Result<usize, Reason> {
        usize::try_from(self.integer()?).map_err(|_| Reason::Malformed)
    }

    pub(super) fn bytes(&mut self) -> Result<&'de [u8], Reason> {
        let length = self.length()?;
        self.cursor.take(length)
    }

    /// An integer of any size: a sign, how many pairs of bytes, and the bytes, lowest first.
    pub(super) fn large<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let is_negative = self.cursor.byte()? == b'-';
        let length = self.length()?.checked_mul(2).ok_or(Reason::Truncated)?;
        let magnitude = self.cursor.take(length)?;
        let mut bytes = [0; 16];
        match bytes.get_mut(..length) {
            Some(low) => low.copy_from_slice(magnitude),
            None => return visitor.visit_f64(0.0),
        }
        let magnitude = i128::from_le_bytes(bytes);
        let number = if is_negative {
            magnitude.checked_neg()
        } else {
            Some(magnitude)
        };
        match (number.map(i64::try_from), number.map(u64::try_from)) {
            (Some(Ok(number)), _) => visitor.visit_i64(number),
            (_, Some(Ok(number))) => visitor.visit_u64(number),
            _ => visitor.visit_f64(0.0),
        }
    }

    /// A symbol, where nothing else may stand.
    pub(super) fn symbol(&mut self) -> Result<&'de [u8], Reason> {
        match self.cursor.byte()? {
            b':' => self.new_symbol(),
            b';' => self.old_symbol(),
            b'I' => self.encoded_symbol(),
            _ => Err(Reason::Malformed),
        }
    }

    pub(super) fn new_symbol(&mut self) -> Result<&'de [u8], Reason> {
        let name = self.bytes()?;
        if !self.again {
            self.symbols.push(name);
        }
        Ok(name)
    }

    pub(super) fn old_symbol(&mut self) -> Result<&'de [u8], Reason> {
        let number = self.length()?;
        self.symbols.get(number).copied().ok_or(Reason::Malformed)
    }

    // Not ASCII, so its encoding follows.
    fn encoded_symbol(&mut self) -> Result<&'de [u8], Reason> {
        self.cursor.expect(b":")?;
        let name = self.new_symbol()?;
        self.instance_variables().map_err(|fault| fault.0)?;
        Ok(name)
    }
}
