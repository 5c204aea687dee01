//! A message passed on with few changes: what is kept is copied, not printed anew.
//!
//! For a proxy (RFC 3261 §16.6, §16.7, §16.11) and for traces. Every change is named before the one pass that
//! writes the result.

use crate::draft::Draft;
use crate::scan::Elements;
use crate::{Message, Name, ParseError, Uri, Via};
use std::fmt::Display;

/// Changes to a message, applied by [`Edit::bytes`].
#[derive(Debug, Clone)]
pub struct Edit<'m> {
    message: &'m Message,
    start: Option<String>,
    on_top: Vec<(Name, String)>,
    at_end: Vec<(Name, String)>,
    pop: Vec<Name>,
    removed: Vec<Name>,
    removed_named: Vec<String>,
    body: Option<(String, Vec<u8>)>,
}

impl<'m> Edit<'m> {
    /// No change yet.
    #[must_use]
    pub fn of(message: &'m Message) -> Edit<'m> {
        Edit {
            message,
            start: None,
            on_top: Vec::new(),
            at_end: Vec::new(),
            pop: Vec::new(),
            removed: Vec::new(),
            removed_named: Vec::new(),
            body: None,
        }
    }

    /// Puts our Via on top (a request goes on: §16.6 step 8).
    #[must_use]
    pub fn push_via(mut self, via: &Via) -> Self {
        self.on_top.push((Name::Via, via.to_string()));
        self
    }

    /// Takes the top Via off (a response goes back: §16.7 step 3).
    #[must_use]
    pub fn pop_via(mut self) -> Self {
        self.pop.push(Name::Via);
        self
    }

    /// Takes the first Route off (§16.4).
    #[must_use]
    pub fn pop_route(mut self) -> Self {
        self.pop.push(Name::Route);
        self
    }

    /// Replaces the Request-URI (§16.6 step 2).
    #[must_use]
    pub fn request_uri(mut self, uri: &Uri) -> Self {
        if self.message.is_request() {
            self.start = Some(format!("{} {} SIP/2.0", self.message.method(), uri.in_request_line()));
        }
        self
    }

    /// Sets Max-Forwards (§16.6 step 3).
    #[must_use]
    pub fn max_forwards(self, hops: u8) -> Self {
        self.set(Name::MaxForwards, hops)
    }

    /// Puts a Record-Route on top (§16.6 step 4).
    #[must_use]
    pub fn record_route(mut self, value: impl Display) -> Self {
        self.on_top.push((Name::RecordRoute, value.to_string()));
        self
    }

    /// Takes all lines of a header out.
    #[must_use]
    pub fn remove(mut self, name: Name) -> Self {
        self.removed.push(name);
        self
    }

    /// Takes all lines of a header out that [`Name`] does not know.
    #[must_use]
    pub fn remove_named(mut self, name: &str) -> Self {
        self.removed_named.push(name.to_owned());
        self
    }

    /// Adds a header behind the others.
    #[must_use]
    pub fn add(mut self, name: Name, value: impl Display) -> Self {
        self.at_end.push((name, value.to_string()));
        self
    }

    /// Replaces all lines of a header by one.
    #[must_use]
    pub fn set(self, name: Name, value: impl Display) -> Self {
        self.remove(name).add(name, value)
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some((content_type.to_owned(), body.to_vec()));
        self
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(mut self) -> Vec<u8> {
        self.settle_body();
        self.draft().bytes(self.body_bytes())
    }

    /// The message.
    pub fn message(mut self) -> Result<Message, ParseError> {
        self.settle_body();
        self.draft().message(self.body_bytes())
    }

    fn body_bytes(&self) -> &[u8] {
        self.body.as_ref().map_or(self.message.body(), |(_, body)| body)
    }

    fn draft(&self) -> Draft {
        let source = self.message.head();
        let mut draft = Draft::new(self.start.as_deref().unwrap_or_else(|| source.start()));
        for (name, value) in &self.on_top {
            draft.line(*name, value);
        }
        let mut popped = Vec::new();
        for (line, value) in source.lines() {
            let written = source.written_name(line);
            let known = line.name != Name::Other;
            if (known && self.removed.contains(&line.name))
                || self.removed_named.iter().any(|name| name.eq_ignore_ascii_case(written))
            {
                continue;
            }
            if self.pop.contains(&line.name) && !popped.contains(&line.name) {
                popped.push(line.name);
                for element in Elements::of(value).skip(1) {
                    draft.copy(line.name, line.name.as_str(), element);
                }
            } else {
                draft.copy(line.name, written, value);
            }
        }
        for (name, value) in &self.at_end {
            draft.line(*name, value);
        }
        draft
    }

    /// A new body brings its type and length; an old one without a length gets it, as a stream needs it.
    fn settle_body(&mut self) {
        if let Some((content_type, body)) = &self.body {
            self.removed.extend([Name::ContentType, Name::ContentLength]);
            self.at_end.push((Name::ContentType, content_type.clone()));
            self.at_end.push((Name::ContentLength, body.len().to_string()));
        } else if self.message.header(Name::ContentLength).is_none() {
            let length = self.message.body().len().to_string();
            self.at_end.push((Name::ContentLength, length));
        }
    }
}
