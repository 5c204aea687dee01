//! Tells open pages and programs that something changed: one hub a server, server-sent events.
//!
//! An event is a topic (`map`, `operations`, `calls` …) and a line of JSON. It says *that* something changed;
//! whoever cares fetches it, so an event is never a second copy of the truth, and a lost one is repaired by the
//! next fetch. Every [`KEEP_ALIVE`] an event [`ALIVE`] shows that the
//! stream lives. A reader that is more than
//! [`QUEUE_MAX`] events behind is dropped; it reconnects, and a `hello` tells it where the count is, so it can
//! see that it missed some and fetch everything again.

use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

/// Events a slow reader may be behind.
pub const QUEUE_MAX: usize = 256;
/// Readers at a time.
pub const READERS_MAX: usize = 500;
/// The topic of the sign of life, which says nothing.
pub const ALIVE: &str = "here";
/// How often a sign of life is sent.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The hub; clones share it.
#[derive(Debug, Clone)]
pub struct Hub {
    sender: broadcast::Sender<Arc<Notice>>,
    count: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number.
    pub id: u64,
    /// What it is about.
    pub topic: &'static str,
    /// What it says, as one line of JSON.
    pub data: String,
}

impl Hub {
    /// A hub whose streams end at `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Hub {
        Hub { sender: broadcast::Sender::new(QUEUE_MAX), count: Arc::default(), stop }
    }

    /// Tells everybody. Cheap when nobody listens; never waits.
    pub fn publish(&self, topic: &'static str, data: &impl serde::Serialize) {
        let id = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
        // Without a reader there is nobody to tell.
        let _unheard = self.sender.send(Arc::new(Notice { id, topic, data }));
    }

    /// Tells everybody that a topic changed, and no more.
    pub fn changed(&self, topic: &'static str) {
        self.publish(topic, &());
    }

    /// Events from now on, within this process.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.sender.subscribe()
    }

    /// The answer to a GET of the event stream. With `topics` only those are sent.
    ///
    /// # Errors
    /// 503 when [`READERS_MAX`] read already.
    pub fn respond(&self, topics: Option<&str>) -> Result<Response, ApiError> {
        if self.sender.receiver_count() >= READERS_MAX {
            return Err(ApiError::unavailable("too-many-readers", "too many event streams are open")
                .next("close pages that are not needed"));
        }
        let wanted: Option<Vec<String>> = topics.map(|list| list.split(',').map(str::to_owned).collect());
        let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).event(Event::default().event(ALIVE).data(""));
        let mut response = Sse::new(self.stream(wanted)).keep_alive(keep_alive).into_response();
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn stream(
        &self,
        wanted: Option<Vec<String>>,
    ) -> impl Stream<Item = Result<Event, Infallible>> + Send + use<> {
        let events = BroadcastStream::new(self.sender.subscribe());
        let count = self.count.load(Ordering::Relaxed);
        let hello = Event::default().id(count.to_string()).event("hello").data(count.to_string());
        let stop = self.stop.clone();
        // A reader that lagged is cut off here: its stream ends at the error.
        let events = events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(move |event| {
                std::future::ready(event.ok().and_then(|e| render(&e, wanted.as_deref())))
            })
            .take_until(async move { stop.cancelled().await });
        stream::once(std::future::ready(hello)).chain(events).map(Ok)
    }
}

fn render(notice: &Notice, wanted: Option<&[String]>) -> Option<Event> {
    if wanted.is_some_and(|topics| !topics.iter().any(|topic| topic == notice.topic)) {
        return None;
    }
    Some(Event::default().id(notice.id.to_string()).event(notice.topic).data(notice.data.clone()))
}
