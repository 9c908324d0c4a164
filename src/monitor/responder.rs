//! What is answered to which request: figures, health and the page, to requests that only read.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
    http::{request::Parts, uri::Authority},
};

use super::{
    figures::{self, Own},
    observer::Observer,
    page::{self, Page},
};
use crate::{
    process::{pulse::Pulse, service_manager::Supervisor},
    status::exposition,
    worker::{InForce, failures::Failures},
};

/// A worker that keeps the daemon's thread for this long has met a bug: a pass that waits gives it back.
const LONGEST_WITHOUT_PULSE: Duration = Duration::from_secs(30);

/// A heartbeat may take as long to come back as the interval until the next one is sent; one more is for luck.
const HEARTBEATS_MISSED: u64 = 3;

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers; see the module.
pub struct Responder {
    pub(super) observer: Arc<Observer>,
    pub(super) settings: InForce,
    pub(super) supervisor: Supervisor,
    pub(super) pulse: Pulse,
    pub(super) failures: Failures,
    pub(super) started_at: SystemTime,
    /// Which database, in words.
    pub(super) database: String,
    /// Whether only this machine is meant to ask: then a request that names another host was lured here.
    pub(super) is_local: bool,
    pub(super) shows_page: bool,
}

type Answer = Response<Full<Bytes>>;

impl Responder {
    /// Answers one request; its body is not read.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Result<Answer, Infallible> {
        let (head, _) = request.into_parts();
        let mut answer = self.answer_to(&head).await;
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(
            "cross-origin-resource-policy",
            HeaderValue::from_static("same-origin"),
        );
        Ok(answer)
    }

    async fn answer_to(&self, head: &Parts) -> Answer {
        if head.method != Method::GET && head.method != Method::HEAD {
            let mut answer = say(
                StatusCode::METHOD_NOT_ALLOWED,
                "this can only be looked at, with GET or HEAD",
            );
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(header::ALLOW, allow);
            return answer;
        }
        if self.is_local && !is_for_this_machine(head) {
            return say(
                StatusCode::MISDIRECTED_REQUEST,
                "this answers to a loopback address or localhost only; a proxy in front has to ask for that",
            );
        }
        match head.uri.path() {
            "/metrics" => self.figures().await,
            "/healthz" => self.health(),
            "/readyz" => self.readiness(),
            "/" if self.shows_page => self.page().await,
            _ => say(
                StatusCode::NOT_FOUND,
                "there is /metrics, /healthz and /readyz, and / where metrics.page is true",
            ),
        }
    }

    async fn figures(&self) -> Answer {
        let sight = self.observer.look().await;
        let own = Own {
            failures: &self.failures,
            serves: self.serves().0,
            reload: self.supervisor.last_reload(),
            started_at: self.started_at,
        };
        answer(
            StatusCode::OK,
            exposition::CONTENT_TYPE,
            figures::text(&sight, &own),
        )
    }

    fn health(&self) -> Answer {
        let age = self.pulse.age();
        if age <= LONGEST_WITHOUT_PULSE {
            return say(StatusCode::OK, "alive");
        }
        let stuck = format!(
            "no worker has run for {} s: restart the daemon, and please report it",
            age.as_secs()
        );
        say(StatusCode::SERVICE_UNAVAILABLE, &stuck)
    }

    fn readiness(&self) -> Answer {
        match self.serves() {
            (true, how) => say(StatusCode::OK, &how),
            (false, why) => say(StatusCode::SERVICE_UNAVAILABLE, &why),
        }
    }

    async fn page(&self) -> Answer {
        let sight = self.observer.look().await;
        let (serves, how) = self.serves();
        let page = Page {
            database: &self.database,
            serves,
            how: &how,
            sight: &sight,
        };
        let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", page.text());
        let policy = HeaderValue::from_str(page::policy());
        answer.headers_mut().insert(
            header::CONTENT_SECURITY_POLICY,
            policy.unwrap_or(HeaderValue::from_static("default-src 'none'")),
        );
        answer
    }

    fn serves(&self) -> (bool, String) {
        let heartbeat_s = self.settings.now().listen.heartbeat_s;
        let longest = Duration::from_secs(heartbeat_s.saturating_mul(HEARTBEATS_MISSED));
        self.supervisor.is_serving(longest)
    }
}

/// Otherwise a foreign page whose name leads to this machine could have a browser here read our answers for it.
fn is_for_this_machine(head: &Parts) -> bool {
    let Some(host) = head.headers.get(header::HOST) else {
        return true;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn say(status: StatusCode, sentence: &str) -> Answer {
    answer(status, TEXT, format!("{sentence}\n"))
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(host: &str) -> bool {
        let request = Request::builder().header(header::HOST, host).body(());
        is_for_this_machine(&request.unwrap().into_parts().0)
    }

    #[test]
    fn a_name_of_somebody_else_s_that_leads_here_is_not_answered() {
        for host in [
            "127.0.0.1:9187",
            "localhost",
            "LocalHost:80",
            "[::1]:9187",
            "127.0.0.2",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9187",
            "localhost.evil.example",
            "192.0.2.1",
            "",
        ] {
            assert!(!is_ours(host), "{host}");
        }
    }
}
