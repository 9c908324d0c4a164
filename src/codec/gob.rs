//! As much of Go's `encoding/gob` as it takes to skip what is not wanted.
//!
//! A stream is messages: a length, the number of a type, and a value. A negative number defines that type instead.
//! Definitions also occur inside messages, where an interface holds a type for the first time, and split them; but a
//! length follows a definition in either case, so the stream reads as if there were no messages. Numbers are one byte
//! below 128, else the negated count of their bytes and these, highest first; signed ones have their sign in the lowest
//! bit. Structs are pairs, up to a zero: how many fields further, and the field.

use super::Reason;
use super::cursor::Cursor;

pub(super) struct Gob<'d>(pub(super) Cursor<'d>);

impl<'d> Gob<'d> {
    pub(super) fn unsigned(&mut self) -> Result<u64, Reason> {
        let first = self.0.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let length = usize::from(first.wrapping_neg());
        if length > 8 {
            return Err(Reason::Malformed);
        }
        let bytes = self.0.take(length)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Reason> {
        let number = self.unsigned()?;
        let half = (number >> 1).cast_signed();
        Ok(if number & 1 == 1 { !half } else { half })
    }

    pub(super) fn bytes(&mut self) -> Result<&'d [u8], Reason> {
        let length = usize::try_from(self.unsigned()?).map_err(|_| Reason::Truncated)?;
        self.0.take(length)
    }

    /// The number of the type of the value that comes next, past the definitions of types.
    pub(super) fn type_of_value(&mut self) -> Result<i64, Reason> {
        loop {
            let number = self.signed()?;
            if number >= 0 {
                return Ok(number);
            }
            self.fields(Self::wire_type)?;
            self.unsigned()?;
        }
    }

    /// Reads the fields of a struct, each by its number from 1 on.
    pub(super) fn fields(
        &mut self,
        mut read: impl FnMut(&mut Self, u64) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let mut field = 0_u64;
        loop {
            match self.unsigned()? {
                0 => return Ok(()),
                further => field = field.checked_add(further).ok_or(Reason::Malformed)?,
            }
            read(self, field)?;
        }
    }

    // What a type is: an array, a slice, a struct, a map, or one that encodes itself in one of three ways.
    fn wire_type(&mut self, kind: u64) -> Result<(), Reason> {
        const STRUCT: u64 = 3;
        self.fields(|gob, field| match (kind, field) {
            (1..=7, 1) => gob.name_and_number(),
            (STRUCT, 2) => {
                for _ in 0..gob.unsigned()? {
                    gob.name_and_number()?;
                }
                Ok(())
            }
            (1..=4, 2 | 3) => gob.signed().map(drop),
            _ => Err(Reason::Malformed),
        })
    }

    fn name_and_number(&mut self) -> Result<(), Reason> {
        self.fields(|gob, field| match field {
            1 => gob.bytes().map(drop),
            2 => gob.signed().map(drop),
            _ => Err(Reason::Malformed),
        })
    }
}
