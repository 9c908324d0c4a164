//! Sessions in which nobody is logged in, for the canary: a reader of this release finds no user in them, and does not
//! count them as unreadable.

use super::Format;

/// As Go's `encoding/gob` writes it for scs: a deadline, and no values.
const SCS: &[u8] =
    b"&\xff\x81\x03\x01\x02\xff\x82\x00\x01\x02\x01\x08Deadline\x01\xff\x84\x00\x01\x06Values\
    \x01\xff\x86\x00\x00\x00\x10\xff\x83\x05\x01\x01\x04Time\x01\xff\x84\x00\x00\x00'\xff\x85\
    \x04\x01\x01\x17map[string]interface {}\x01\xff\x86\x00\x01\x0c\x01\x10\x00\x00\x16\xff\
    \x82\x01\x0f\x01\x00\x00\x00\x0e\xdc\xe5\xe8\x00\x00\x00\x00\x05\xff\xff\x01\x00\x00";

impl Format {
    /// The data of one.
    pub const fn blank(self) -> &'static [u8] {
        match self {
            // An empty map, base64 of it, and neither time nor signature, which we could not make.
            Self::Django => b"e30:0:0",
            Self::Json => b"{}",
            Self::MessagePack | Self::FlaskSession => b"\x80",
            // Id, data and expiry.
            Self::TowerSessions => b"\x93\xc0\x80\xc0",
            Self::Rails => b"BAh7AA==",
            Self::Laravel => b"YTowOnt9",
            Self::Symfony => b"_sf2_attributes|a:0:{}",
            Self::Scs => SCS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Codec, Found};

    #[test]
    fn nobody_is_logged_in_to_a_blank_session_of_any_format() {
        for format in [
            Format::Django,
            Format::Json,
            Format::MessagePack,
            Format::TowerSessions,
            Format::FlaskSession,
            Format::Rails,
            Format::Laravel,
            Format::Symfony,
            Format::Scs,
        ] {
            let mut codec = Codec::from(format);
            if codec.user.is_empty() {
                codec.user = vec!["user".to_owned()];
            }
            assert_eq!(
                codec.find_user(format.blank()),
                Found::Anonymous,
                "{format:?}"
            );
        }
    }
}
