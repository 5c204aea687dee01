//! What a phone has heard, in short words.

use crate::phone::Phone;
use sip::{Message, Name};

impl Phone {
    pub(crate) fn heard(&self, word: &str) -> bool {
        self.heard.iter().any(|heard| heard == word)
    }

    pub(crate) fn times(&self, word: &str) -> usize {
        self.heard.iter().filter(|heard| *heard == word).count()
    }

    /// Notes a word, its cause, and what its message says of media.
    pub(crate) fn note(&mut self, word: &str, message: Option<&Message>) {
        let cause = message.and_then(|message| message.header(Name::Reason)).and_then(q850);
        let word = match cause {
            Some(cause) => format!("{word}/{cause}"),
            None => word.to_owned(),
        };
        self.heard.push(word);
        if let Some(body) = message.map(Message::body).filter(|body| !body.is_empty()) {
            self.last_body = body.to_vec();
            let text = String::from_utf8_lossy(body);
            let words = text.lines().find_map(|line| line.strip_prefix("s=")).unwrap_or(&text);
            self.sdp.push(words.to_owned());
        }
    }
}

fn q850(reason: &str) -> Option<&str> {
    reason.split(';').find_map(|part| part.strip_prefix("cause="))
}
