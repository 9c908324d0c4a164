//! Which numbers are allowed, and the sentence that refuses any other.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Error;

pub(super) const DAY_S: u64 = 86_400;

pub(super) fn within<T>(name: &'static str, value: T, range: RangeInclusive<T>) -> Result<(), Error>
where
    T: Display + PartialOrd,
{
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(invalid(
        name,
        format!("has to be from {least} to {most} and is {value}"),
    ))
}

pub(super) fn invalid(name: &'static str, rule: String) -> Error {
    Error::Invalid { name, rule }
}
