//! Values by their letter.

use serde::de::{Deserialize, IgnoredAny, Visitor};

use super::super::Reason;
use super::super::fault::Fault;
use super::Marshal;

impl<'de> Marshal<'de> {
    pub(super) fn tagged<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        is_ignored: bool,
    ) -> Result<V::Value, Fault> {
        let at = self.cursor.at;
        match self.cursor.byte()? {
            b'0' => visitor.visit_unit(),
            b'T' | b'F' => visitor.visit_bool(false),
            b'i' => visitor.visit_i64(self.integer()?),
            b':' => visitor.visit_borrowed_bytes(self.new_symbol()?),
            b';' => visitor.visit_borrowed_bytes(self.old_symbol()?),
            b'@' => self.link(visitor, is_ignored),
            b'I' => self.with_variables(visitor, is_ignored),
            // A subclass, or a module that was mixed in: what it is of follows.
            b'C' | b'e' => {
                self.symbol()?;
                self.value(visitor, is_ignored)
            }
            b'u' => {
                self.dumped()?;
                self.number_object(at)?;
                visitor.visit_bool(false)
            }
            letter => {
                self.number_object(at)?;
                self.object(letter, visitor, is_ignored)
            }
        }
    }

    // What has a number before it is read.
    fn object<V: Visitor<'de>>(
        &mut self,
        letter: u8,
        visitor: V,
        is_ignored: bool,
    ) -> Result<V::Value, Fault> {
        match letter {
            b'"' => visitor.visit_borrowed_bytes(self.bytes()?),
            b'l' => self.large(visitor),
            b'[' => self.list(visitor),
            b'{' => self.map(visitor),
            b'}' => {
                let value = self.map(visitor)?;
                // What the map answers for a key that is missing.
                IgnoredAny::deserialize(&mut *self)?;
                Ok(value)
            }
            b'o' | b'S' => {
                self.symbol()?;
                self.map(visitor)
            }
            // An object that itself decides what is dumped in its place.
            b'U' | b'd' => {
                self.symbol()?;
                self.value(visitor, is_ignored)
            }
            b'f' | b'c' | b'm' | b'M' => {
                self.bytes()?;
                visitor.visit_bool(false)
            }
            // A regular expression and its options.
            b'/' => {
                self.bytes()?;
                self.cursor.byte()?;
                visitor.visit_bool(false)
            }
            _ => Err(Reason::Malformed.into()),
        }
    }

    // An object that dumps itself as bytes.
    fn dumped(&mut self) -> Result<(), Reason> {
        self.symbol()?;
        self.bytes()?;
        Ok(())
    }

    // A value and its instance variables. A text has its encoding there.
    fn with_variables<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        is_ignored: bool,
    ) -> Result<V::Value, Fault> {
        let at = self.cursor.at;
        if self.cursor.peek() == Some(b'u') {
            self.cursor.byte()?;
            self.dumped()?;
            self.instance_variables()?;
            self.number_object(at)?;
            return visitor.visit_bool(false);
        }
        let value = self.value(visitor, is_ignored)?;
        self.instance_variables()?;
        Ok(value)
    }

    pub(super) fn instance_variables(&mut self) -> Result<(), Fault> {
        for _ in 0..self.length()? {
            self.symbol()?;
            IgnoredAny::deserialize(&mut *self)?;
        }
        Ok(())
    }

    fn link<V: Visitor<'de>>(&mut self, visitor: V, is_ignored: bool) -> Result<V::Value, Fault> {
        let number = self.length()?;
        if is_ignored {
            return visitor.visit_unit();
        }
        let at = Self::numbered(&self.objects, number)?;
        let (here, again) = (self.cursor.at, self.again);
        self.cursor.at = at;
        self.again = true;
        let value = self.value(visitor, is_ignored)?;
        self.cursor.at = here;
        self.again = again;
        Ok(value)
    }
}
