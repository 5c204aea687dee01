//! What one machine says of itself and its calls, asked through the manager.

use super::Fault;
use super::machine::find;
use super::print::{Form, cell};
use crate::table::Table;
use clap::Args;
use manager::client::Client;
use serde_json::Value;

/// A machine by name.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// Its name
    machine: String,
}

/// `ctl records`
#[derive(Debug, Args)]
pub(super) struct Records {
    /// The machine, by name
    machine: String,
    /// How many of the last calls
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// A call at a machine.
#[derive(Debug, Args)]
pub(super) struct OneCall {
    /// The machine, by name
    machine: String,
    /// The call's session id, as `ctl calls` and `ctl records` print it
    session: String,
}

/// `ctl explain`
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The machine where the caller is, by name
    machine: String,
    /// The calling extension
    from: String,
    /// The digits dialled
    to: String,
}

pub(super) async fn state(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let state = client.ask(&find(client, &whom.machine).await?.id, "state").await?;
    form.one(&state, &super::print::sheet(&state))
}

pub(super) async fn bindings(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let bindings = client.ask(&find(client, &whom.machine).await?.id, "bindings").await?;
    form.foreign(&bindings, &["extension", "contact", "transport", "remote", "expires_s", "user_agent"])
}

pub(super) async fn calls(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let calls = client.ask(&find(client, &whom.machine).await?.id, "calls").await?;
    form.foreign(&calls, &["session", "from", "to", "state", "since_ms"])
}

pub(super) async fn records(client: &Client, wanted: &Records, form: Form) -> Result<(), Fault> {
    let id = find(client, &wanted.machine).await?.id;
    let records = client.ask(&id, &format!("records?limit={}", wanted.limit)).await?;
    form.foreign(&records, &["session", "from", "to", "cause", "duration_ms"])
}

pub(super) async fn ladder(client: &Client, call: &OneCall, form: Form) -> Result<(), Fault> {
    let id = find(client, &call.machine).await?.id;
    let ladder = client.ask(&id, &format!("calls/{}/ladder", segment(&call.session))).await?;
    form.one(&ladder, &cell(ladder.get("text").or(Some(&ladder))))
}

pub(super) async fn explain(client: &Client, wanted: &Explain, form: Form) -> Result<(), Fault> {
    let id = find(client, &wanted.machine).await?.id;
    let query = format!("explain?from={}&to={}", segment(&wanted.from), segment(&wanted.to));
    let said = client.ask(&id, &query).await?;
    let mut table = Table::new(&["step", "looked at", "found", "why"]);
    for step in said.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| cell(step.get(name));
        table.row([text("rule"), text("subject"), text("verdict"), text("text")]);
    }
    form.one(&said, &format!("{table}\noutcome: {}", cell(said.get("outcome"))))
}

/// A piece of a path or query: what is not plain is percent-encoded (RFC 3986 § 2.1).
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_code_goes_through_a_query_unharmed() {
        assert_eq!(segment("*21#"), "%2A21%23");
        assert_eq!(segment("2101"), "2101");
    }
}
