//! What Ruby's `Marshal.dump` writes (format 4.8), read as serde reads.
//!
//! A value is a letter and what belongs to it. Symbols and objects are numbered in the order in which they end up in
//! the reader's tables, and what was there before is written as its number: `;` for symbols, `@` for objects. The
//! order is that of `marshal.c`: an object has its number before what is inside it, except one that dumps itself as
//! bytes (`u`), which has it after its instance variables.

mod items;
mod number;
mod value;

use serde::de::{DeserializeSeed, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::cursor::Cursor;
use super::fault::Fault;
use super::{MAX_DEPTH, Reason};

pub(super) struct Marshal<'de> {
    cursor: Cursor<'de>,
    /// Where each symbol's name begins. Like the objects in four bytes, because hostile data is nothing but these.
    symbols: Vec<u32>,
    /// Where each object begins.
    objects: Vec<u32>,
    depth: usize,
    /// How many values may still be read. Only what follows numbers back can read a value twice.
    budget: usize,
    /// Whether a value is read again, which must not number it anew.
    again: bool,
}

impl<'de> Marshal<'de> {
    /// Reads one value and nothing behind it.
    pub(super) fn whole<S: DeserializeSeed<'de>>(
        data: &'de [u8],
        seed: S,
    ) -> Result<S::Value, Reason> {
        let mut marshal = Self::new(data);
        marshal.cursor.expect(&[4, 8])?;
        let value = seed.deserialize(&mut marshal).map_err(|fault| fault.0)?;
        if marshal.cursor.is_at_end() {
            Ok(value)
        } else {
            Err(Reason::Malformed)
        }
    }

    fn new(data: &'de [u8]) -> Self {
        Self {
            cursor: Cursor::new(data),
            symbols: Vec::new(),
            objects: Vec::new(),
            depth: 0,
            // Each value has a byte at least, and honest data is followed back at most once for each step of a path.
            budget: data.len().saturating_mul(8),
            again: false,
        }
    }

    fn number_object(&mut self, at: usize) -> Result<(), Reason> {
        if !self.again {
            self.objects
                .push(u32::try_from(at).map_err(|_| Reason::TooLarge)?);
        }
        Ok(())
    }

    // Where the object or the symbol of a number begins.
    fn numbered(table: &[u32], number: usize) -> Result<usize, Reason> {
        let at = table.get(number).ok_or(Reason::Malformed)?;
        usize::try_from(*at).map_err(|_| Reason::TooLarge)
    }

    // Goes in by one level, which is undone only where reading goes on.
    fn enter(&mut self) -> Result<(), Reason> {
        self.budget = self.budget.checked_sub(1).ok_or(Reason::TooLarge)?;
        if self.depth == MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    fn value<V: Visitor<'de>>(&mut self, visitor: V, is_ignored: bool) -> Result<V::Value, Fault> {
        self.enter()?;
        let value = self.tagged(visitor, is_ignored)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Marshal<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, false)
    }

    // Told apart, because what is not wanted is not followed back: data that only refers to itself would be read for
    // ever.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.value(visitor, true)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

#[cfg(test)]
mod tests;
