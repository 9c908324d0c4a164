//! Requests by hand that come to nothing. Any role that may connect can send any number, so they are counted and
//! reported once in a while (P8).

use crate::process::repeated::Repeated;

/// Why one comes to nothing.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The settings say so.
    Off,
    /// Its payload is no user's key.
    NoUser,
    /// Too many have come.
    TooMany,
}

const ALL: [Refusal; 3] = [Refusal::Off, Refusal::NoUser, Refusal::TooMany];

/// How many there were, by reason. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Refused([Repeated; ALL.len()]);

impl Refused {
    /// One more.
    pub fn count(&self, why: Refusal) {
        say(why, self.of(why).count());
    }

    /// Reports what the end of a flood has left unreported; to be called now and then.
    pub fn say_left_over(&self) {
        for why in ALL {
            say(why, self.of(why).left_over());
        }
    }

    fn of(&self, why: Refusal) -> &Repeated {
        &self.0[why as usize]
    }
}

fn say(why: Refusal, requests: Option<u64>) {
    let Some(requests) = requests else {
        return;
    };
    match why {
        Refusal::Off => tracing::warn!(
            requests,
            "requests by NOTIFY were ignored, because listen.hand_requests is off"
        ),
        Refusal::NoUser => tracing::warn!(
            requests,
            "requests by NOTIFY name no user; the payload has to be a user key and nothing else"
        ),
        Refusal::TooMany => tracing::warn!(
            requests,
            "requests by NOTIFY were dropped, because too many have come; use `session-reaper revoke`, or switch them off with listen.hand_requests"
        ),
    }
}
