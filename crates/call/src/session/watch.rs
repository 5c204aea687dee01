//! How we know that a leg is still there: by session timer where its phone knows them (RFC 4028), else by asking it
//! with OPTIONS (see `liveness`). Never both, which is why this is one enum.
//!
//! We refresh wherever the phone leaves it to us. Session timers end at the edge: members do not use them with each
//! other, so no refresh crosses the uplink, and a cut cannot make one fail.

use super::leg::{Leg, supports};
use crate::core::Turn;
use crate::headers;
use crate::settings::EdgeSettings;
use serde::{Deserialize, Serialize};
use sip::{Message, Name, Request, Response, Status};
use std::time::Duration;

/// The way a leg is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watch {
    /// It is asked by OPTIONS; `None` while an answer is awaited.
    Asking { next: Option<Duration> },
    /// A session timer that we refresh; `None` while a refresh is on its way.
    Refreshing { interval: Duration, next: Option<Duration> },
    /// A session timer that the phone refreshes: `until` it must have.
    Refreshed { interval: Duration, until: Duration },
}

/// No session timer is shorter (RFC 4028 § 4).
pub(super) const INTERVAL_FLOOR: Duration = Duration::from_secs(90);
/// How long before the end the side that does not refresh gives up, at the most (RFC 4028 § 10).
const MARGIN: Duration = Duration::from_secs(32);

impl Watch {
    /// By OPTIONS, from now on.
    pub(super) fn asking(turn: &Turn<'_>) -> Watch {
        Watch::Asking { next: Some(turn.now + turn.core.config.settings.liveness_period) }
    }

    /// When something is due.
    pub(super) fn due(self) -> Option<Duration> {
        match self {
            Watch::Asking { next } | Watch::Refreshing { next, .. } => next,
            Watch::Refreshed { until, .. } => Some(until),
        }
    }

    /// Is asked or refreshed at `at`. A phone that refreshes itself keeps its time.
    pub(super) fn put_off(&mut self, at: Duration) {
        match self {
            Watch::Asking { next } | Watch::Refreshing { next, .. } => *next = Some(at),
            Watch::Refreshed { until, .. } => *until = at.max(*until),
        }
    }

    /// Nothing is due any more.
    pub(super) fn rest(&mut self) {
        *self = Watch::Asking { next: None };
    }

    /// The answer that was awaited will not be heard: it is asked anew.
    pub(super) fn wake(&mut self) {
        if let Watch::Asking { next } | Watch::Refreshing { next, .. } = self {
            next.get_or_insert(Duration::ZERO);
        }
    }

    fn refreshing(now: Duration, interval: Duration) -> Watch {
        Watch::Refreshing { interval, next: Some(now + interval / 2) }
    }

    fn refreshed(now: Duration, interval: Duration) -> Watch {
        Watch::Refreshed { interval, until: now + interval - MARGIN.min(interval / 3) }
    }
}

/// What a Session-Expires header says.
struct SessionExpires {
    interval: Duration,
    /// `uac` or `uas`, where it is said.
    by_uac: Option<bool>,
}

impl SessionExpires {
    fn of(message: &Message) -> Option<SessionExpires> {
        let seconds = message.number(Name::SessionExpires).ok()??;
        let value = message.header(Name::SessionExpires)?.to_ascii_lowercase();
        let refresher = headers::param(&value, "refresher");
        let by_uac = refresher.as_deref().and_then(|word| match word {
            "uac" => Some(true),
            "uas" => Some(false),
            _ => None,
        });
        Some(SessionExpires { interval: Duration::from_secs(seconds.into()), by_uac })
    }
}

fn min_se(message: &Message) -> Duration {
    let seconds = message.number(Name::MinSe).ok().flatten().unwrap_or(0);
    INTERVAL_FLOOR.max(Duration::from_secs(seconds.into()))
}

/// The refusal of a request that wants a session timer shorter than we take (RFC 4028 § 9).
pub(super) fn too_brief(turn: &Turn<'_>, request: &Message) -> Option<Response> {
    let min = turn.core.config.settings.session_interval_min;
    let wanted = SessionExpires::of(request)?;
    (supports(request, "timer") && wanted.interval < min)
        .then(|| Response::to(request, Status::SESSION_INTERVAL_TOO_SMALL).header(Name::MinSe, min.as_secs()))
}

/// What our first INVITE to a phone says of session timers.
pub(super) fn propose(settings: &EdgeSettings, request: Request) -> Request {
    let refresher = format!("{};refresher=uac", settings.session_interval.as_secs());
    request
        .header(Name::SessionExpires, refresher)
        .header(Name::MinSe, settings.session_interval_min.as_secs())
}

/// What a further INVITE or UPDATE of ours says of the session timer of its leg: without it the timer would end.
pub(super) fn repeat(leg: &Leg, request: Request) -> Request {
    let (interval, refresher) = match leg.watch {
        Watch::Asking { .. } => return request,
        Watch::Refreshing { interval, .. } => (interval, "uac"),
        Watch::Refreshed { interval, .. } => (interval, "uas"),
    };
    let value = format!("{};refresher={refresher}", interval.as_secs());
    request.header(Name::SessionExpires, value).header(Name::Supported, "timer")
}

/// The 2xx of an INVITE or UPDATE of ours has come: the timer begins anew, or there is none.
pub(super) fn agree(turn: &Turn<'_>, leg: &mut Leg, response: &Message) {
    if leg.hop.is_cluster() {
        return;
    }
    leg.watch = match SessionExpires::of(response) {
        Some(SessionExpires { interval, by_uac: Some(false) }) => {
            Watch::refreshed(turn.now, interval.max(INTERVAL_FLOOR))
        }
        Some(SessionExpires { interval, .. }) => Watch::refreshing(turn.now, interval.max(INTERVAL_FLOOR)),
        None => Watch::asking(turn),
    };
}

/// Our 2xx to an INVITE or UPDATE of the leg goes out: the timer begins anew, if its phone has any.
pub(super) fn grant(turn: &Turn<'_>, leg: &mut Leg, request: &Message, response: Response) -> Response {
    if leg.hop.is_cluster() {
        return response;
    }
    if !supports(request, "timer") {
        leg.watch = Watch::asking(turn);
        return response;
    }
    let settings = &turn.core.config.settings;
    let asked = SessionExpires::of(request);
    let wanted = asked.as_ref().map_or(settings.session_interval, |asked| asked.interval);
    let least = min_se(request).max(settings.session_interval_min);
    let interval = wanted.min(settings.session_interval).max(least);
    let by_phone = asked.and_then(|asked| asked.by_uac) == Some(true);
    let value = format!("{};refresher={}", interval.as_secs(), if by_phone { "uac" } else { "uas" });
    let response = response.header(Name::SessionExpires, value);
    if by_phone {
        leg.watch = Watch::refreshed(turn.now, interval);
        return response.header(Name::Require, "timer");
    }
    leg.watch = Watch::refreshing(turn.now, interval);
    response
}

/// The interval a phone insists on that refused ours with 422.
pub(super) fn insisted(response: &Message) -> Duration {
    min_se(response)
}
