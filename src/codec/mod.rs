//! Who is logged in to a session, read from the session's data.
//!
//! Every codec is a pure function of bytes. The bytes are the app's and may be damaged or hostile, so no codec panics,
//! none takes memory that its input only claims to need, and none does more work than a small multiple of the input's
//! length (P8). Their answers contain nothing of the data but the user's id (P7).

mod armour;
mod blank;
mod cursor;
pub mod django;
pub mod django_hash;
mod fault;
mod format;
mod gob;
mod inflate;
mod json;
mod laravel;
mod marshal;
mod message_pack;
mod path;
mod php;
mod pickle;
mod rails;
mod scs;
mod setting;
mod step;
mod symfony;
mod value_object;

pub use format::{Codec, Format};
pub use json::find_in_column;

/// No codec looks at more than this many bytes, packed or unpacked. Browsers wait for every byte of a session at
/// every request, so honest ones have a few thousand; a megabyte is an accident, and four are an attack.
pub const MAX_BYTES: usize = 4 << 20;

/// No codec that has to recurse goes deeper than this; honest sessions nest a handful of times.
const MAX_DEPTH: usize = 128;

/// No user's id has more bytes than this, which is the most that PostgreSQL puts into an entry of a btree index.
const MAX_USER_BYTES: usize = 2_704;

/// What a session's data says of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody is logged in.
    Anonymous,
    /// The user's id as text, as the store spells it. PostgreSQL casts it to the type of the key.
    User(String),
    /// The data does not say, because it cannot be read.
    Unreadable(Reason),
}

/// Why data cannot be read. A closed set, so that metrics can count by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The data ends too early.
    Truncated,
    /// More than [`MAX_BYTES`].
    TooLarge,
    /// Nested more deeply than anything honest.
    TooDeep,
    /// Not the alphabet or the length of base64.
    NotBase64,
    /// Marked as compressed, and not.
    NotZlib,
    /// Not JSON.
    NotJson,
    /// Not what the framework's serializer writes.
    Malformed,
    /// Not what the store's framework writes around the data.
    NotFramed,
    /// Python's pickle, which only Python can read.
    Pickled,
    /// Encrypted by the app.
    Encrypted,
    /// A map was expected on the way to the user, and something else found.
    NotMap,
    /// What is in the user's place is no key: not text or an integer, empty, too long, or with a NUL.
    NotKey,
    /// Several users are logged in to parts of the site, and the settings do not say which part counts.
    Ambiguous,
    /// The database refuses to hand it out, because the bytes are no text in its encoding, or are damaged.
    Refused,
    /// The database refuses the link to the user that was found.
    NotLinkable,
}

impl Reason {
    /// Every reason, for code that counts by it.
    pub const ALL: [Self; 15] = [
        Self::Truncated,
        Self::TooLarge,
        Self::TooDeep,
        Self::NotBase64,
        Self::NotZlib,
        Self::NotJson,
        Self::Malformed,
        Self::NotFramed,
        Self::Pickled,
        Self::Encrypted,
        Self::NotMap,
        Self::NotKey,
        Self::Ambiguous,
        Self::Refused,
        Self::NotLinkable,
    ];

    /// A word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::NotBase64 => "not_base64",
            Self::NotZlib => "not_zlib",
            Self::NotJson => "not_json",
            Self::Malformed => "malformed",
            Self::NotFramed => "not_framed",
            Self::Pickled => "pickled",
            Self::Encrypted => "encrypted",
            Self::NotMap => "not_map",
            Self::NotKey => "not_key",
            Self::Ambiguous => "ambiguous",
            Self::Refused => "refused",
            Self::NotLinkable => "not_linkable",
        }
    }
}

impl Found {
    // PostgreSQL has no text with a NUL, and an empty id would match a user only by accident.
    fn user(id: &str) -> Self {
        if id.is_empty() || id.len() > MAX_USER_BYTES || id.contains('\0') {
            return Self::Unreadable(Reason::NotKey);
        }
        Self::User(id.to_owned())
    }

    fn text(id: &[u8]) -> Self {
        std::str::from_utf8(id).map_or(Self::Unreadable(Reason::NotKey), Self::user)
    }
}

impl From<Result<Self, Reason>> for Found {
    fn from(found: Result<Self, Reason>) -> Self {
        found.unwrap_or_else(Self::Unreadable)
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod runtimes;
#[cfg(test)]
mod tests;
