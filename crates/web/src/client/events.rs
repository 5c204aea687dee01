//! Reads a stream of server-sent events (WHATWG HTML § 9.2).

use super::ClientError;
use crate::events::ALIVE;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use std::time::Duration;

/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// A stream is dead when even the signs of life of [`crate::events`] stay away.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its number, if it has one.
    pub id: Option<String>,
    /// What it is about; `message` when the server does not say.
    pub topic: String,
    /// What it says.
    pub data: String,
}

/// A stream at work. Dropping it closes the connection.
#[derive(Debug)]
pub struct EventStream {
    /// Kept because the connection lives as long as its sender.
    _connection: SendRequest<Full<Bytes>>,
    body: Incoming,
    text: Vec<u8>,
    address: String,
}

impl EventStream {
    pub(super) fn new(connection: SendRequest<Full<Bytes>>, body: Incoming, address: &str) -> EventStream {
        EventStream { _connection: connection, body, text: Vec::new(), address: address.to_owned() }
    }

    /// The next event; none when the server has ended the stream.
    ///
    /// # Errors
    /// [`ClientError::Broken`], [`ClientError::Deadline`] after a silence of 30 s, [`ClientError::Malformed`].
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.take() {
                return Ok(Some(event));
            }
            if self.text.len() > EVENT_BYTES_MAX {
                let reason = format!("an event of more than {EVENT_BYTES_MAX} bytes");
                return Err(ClientError::Malformed { address: self.address.clone(), reason });
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await.map_err(|_| {
                ClientError::Deadline { address: self.address.clone(), deadline: SILENCE_MAX }
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(source)) => {
                    return Err(ClientError::Broken { address: self.address.clone(), source });
                }
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.text.extend_from_slice(bytes);
                    }
                }
            }
        }
    }

    /// The first whole event of what has come; comments and signs of life are none.
    fn take(&mut self) -> Option<Event> {
        loop {
            let end = self.text.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            match parse(&String::from_utf8_lossy(&block)) {
                Some(event) if event.topic != ALIVE => return Some(event),
                _ => {}
            }
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut event = Event { topic: "message".to_owned(), ..Event::default() };
    let mut data: Vec<&str> = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut event.topic),
            "data" => data.push(value),
            _ => {}
        }
    }
    event.data = data.join("\n");
    (!data.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_topic_id_and_lines_and_a_comment_is_none() {
        let event = parse("id: 7\nevent: map\ndata: a\ndata: b\n").unwrap();
        assert_eq!(event, Event { id: Some("7".into()), topic: "map".into(), data: "a\nb".into() });
        assert_eq!(parse(": still here\n"), None);
    }
}
