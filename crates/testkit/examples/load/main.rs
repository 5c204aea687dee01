//! Load for `cargo xtask bench sip`, where SIPp cannot give it: a machine furnished with any number of subscribers,
//! phones by the ten thousand on one socket that obey Retry-After, and phones on TLS (Debian's SIPp has none).
//!
//! It measures nothing but what phones see; what the server uses is measured by whoever starts both. One line of JSON
//! comes out.
//!
//! ```text
//! load furnish DIR COUNT             a machine's folder with subscribers 100000, 100001, …
//! load register HOST:PORT COUNT ROUNDS WINDOW [lazy]
//!                                    each registers so often, WINDOW at a time; `lazy` answers no challenge
//! load return HOST:PORT COUNT SECONDS
//!                                    all come within so many seconds and try until they are in
//! load tls HOST:PORT COUNT WINDOW [hold]
//!                                    each opens a connection and registers; `hold` keeps them until a line comes in
//! ```
mod furnish;
mod phone;
mod tls;
mod udp;

use anyhow::{Context, Result, bail};
use std::str::FromStr;

/// The first subscriber.
pub(crate) const FIRST: usize = 100_000;
/// Its SIP domain.
pub(crate) const DOMAIN: &str = "pleiad.test";

/// The password of a subscriber.
pub(crate) fn password(user: usize) -> String {
    format!("pw{user}-of-a-load-phone")
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let figures = match words.as_slice() {
        ["furnish", dir, count] => furnish::furnish(dir.as_ref(), number(count)?)?,
        ["register", server, count, rounds, window] => {
            udp::register(number(server)?, number(count)?, number(rounds)?, number(window)?, true)?
        }
        ["register", server, count, rounds, window, "lazy"] => {
            udp::register(number(server)?, number(count)?, number(rounds)?, number(window)?, false)?
        }
        ["return", server, count, seconds] => {
            udp::come_back(number(server)?, number(count)?, number(seconds)?)?
        }
        ["tls", server, count, window] => {
            tls::register(number(server)?, number(count)?, number(window)?, false)?
        }
        ["tls", server, count, window, "hold"] => {
            tls::register(number(server)?, number(count)?, number(window)?, true)?
        }
        _ => bail!("what to load with: see the head of this program"),
    };
    if !figures.is_null() {
        say(&figures);
    }
    Ok(())
}

/// Whoever started this reads lines.
pub(crate) fn say(figures: &serde_json::Value) {
    println!("{figures}");
}

fn number<T: FromStr>(word: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    word.parse().with_context(|| format!("'{word}' is not what is needed here"))
}
