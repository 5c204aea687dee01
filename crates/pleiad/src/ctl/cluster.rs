//! What one machine says of itself and its calls, asked through the manager.

use super::Fault;
use super::machine::find;
use super::print::{Form, cell};
use crate::table::Table;
use anyhow::Context as _;
use clap::Args;
use manager::client::Client;
use serde_json::Value;
use std::path::{Path, PathBuf};

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

/// `ctl pcap`
#[derive(Debug, Args)]
pub(super) struct Capture {
    #[command(flatten)]
    call: OneCall,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// `ctl authority`
#[derive(Debug, Args)]
pub(super) struct Authority {
    /// The machine, by name
    machine: String,
    /// The file to write; without it, the certificate is printed
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `ctl messages`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad ctl messages branch 2101 --new 2 --old 5
  pleiad ctl messages branch 2101")]
pub(super) struct Messages {
    /// The machine where the subscriber's phones are registered, by name
    machine: String,
    /// The subscriber
    extension: String,
    /// Messages not listened to: they light the lamp
    #[arg(long, default_value_t = 0)]
    new: u32,
    /// Messages listened to and kept
    #[arg(long, default_value_t = 0)]
    old: u32,
    /// How many of the new ones are urgent
    #[arg(long, default_value_t = 0)]
    urgent: u32,
}

/// `ctl hangup`
#[derive(Debug, Args)]
pub(super) struct HangUp {
    /// The machine, by name
    machine: String,
    /// The call's id there, as `ctl calls` prints it
    id: String,
}

/// `ctl unban`
#[derive(Debug, Args)]
pub(super) struct Unban {
    /// The machine, by name
    machine: String,
    /// The source, as `ctl bans` prints it
    source_ip: std::net::IpAddr,
    /// The user it tried, as `ctl bans` prints it; without it, the ban of the whole source is lifted
    #[arg(long)]
    user: Option<String>,
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

pub(super) async fn registrations(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let bindings = client.ask(&find(client, &whom.machine).await?.id, "bindings").await?;
    let columns = [
        ("extension", "/extension"),
        ("contact", "/contact"),
        ("transport", "/transport"),
        ("source", "/source"),
        ("until", "/until_ms"),
        ("phone", "/user_agent"),
    ];
    form.foreign(&bindings, &columns)
}

pub(super) async fn lines(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let lines = client.ask(&find(client, &whom.machine).await?.id, "lines").await?;
    let columns = [
        ("extension", "/extension"),
        ("line", "/line"),
        ("member", "/member"),
        ("calls", "/calls"),
        ("with", "/with"),
        ("since", "/since_ms"),
    ];
    form.foreign(&lines, &columns)
}

pub(super) async fn calls(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let calls = client.ask(&find(client, &whom.machine).await?.id, "calls").await?;
    let columns = [
        ("id", "/id"),
        ("session", "/session"),
        ("role", "/role"),
        ("from", "/caller/number"),
        ("to", "/called/number"),
        ("progress", "/progress"),
        ("since", "/created_ms"),
    ];
    form.foreign(&calls, &columns)
}

pub(super) async fn records(client: &Client, wanted: &Records, form: Form) -> Result<(), Fault> {
    let id = find(client, &wanted.machine).await?.id;
    let records = client.ask(&id, &format!("records?limit={}", wanted.limit)).await?;
    let columns = [
        ("begin", "/created_ms"),
        ("session", "/session"),
        ("role", "/role"),
        ("from", "/caller/number"),
        ("to", "/called/number"),
        ("cause", "/cause"),
        ("ended by", "/ended_by"),
        ("answered", "/answered_ms"),
        ("end", "/ended_ms"),
    ];
    form.foreign(&records, &columns)
}

pub(super) async fn ladder(client: &Client, call: &OneCall, form: Form) -> Result<(), Fault> {
    let id = find(client, &call.machine).await?.id;
    let path = format!("calls/{}/ladder", segment(&call.session));
    match form {
        Form::Json => form.one(&client.ask(&id, &path).await?, ""),
        Form::People => {
            let text = client.ask_bytes(&id, &format!("{path}?format=text")).await?;
            form.one(&(), String::from_utf8_lossy(&text).trim_end())
        }
    }
}

pub(super) async fn pcap(client: &Client, capture: &Capture, form: Form) -> Result<(), Fault> {
    let id = find(client, &capture.call.machine).await?.id;
    let bytes = client.ask_bytes(&id, &format!("calls/{}/pcap", segment(&capture.call.session))).await?;
    written(&capture.output, &bytes, form)
}

pub(super) async fn authority(client: &Client, wanted: &Authority, form: Form) -> Result<(), Fault> {
    let id = find(client, &wanted.machine).await?.id;
    let pem = client.ask_bytes(&id, "authority").await?;
    match &wanted.output {
        Some(file) => written(file, &pem, form),
        None => {
            let pem = String::from_utf8_lossy(&pem);
            form.one(&serde_json::json!({ "pem": pem }), pem.trim_end())
        }
    }
}

fn written(file: &Path, bytes: &[u8], form: Form) -> Result<(), Fault> {
    let name = file.display();
    std::fs::write(file, bytes).with_context(|| format!("cannot write {name}"))?;
    let said = serde_json::json!({ "file": name.to_string(), "bytes": bytes.len() });
    form.one(&said, &format!("{name}: {} bytes", bytes.len()))
}

pub(super) async fn messages(client: &Client, told: &Messages, form: Form) -> Result<(), Fault> {
    let id = find(client, &told.machine).await?.id;
    let Messages { extension, new, old, urgent, .. } = told;
    let waiting = serde_json::json!({ "new": new, "old": old, "urgent": urgent });
    let answer = client.put_messages(&id, extension, &waiting).await?;
    form.one(&answer, &format!("{extension} is told of {new} new and {old} old messages"))
}

pub(super) async fn hang_up(client: &Client, call: &HangUp, form: Form) -> Result<(), Fault> {
    let id = find(client, &call.machine).await?.id;
    client.end_call(&id, &call.id).await?;
    form.one(&serde_json::json!({ "ended": call.id }), "the call is being ended")
}

pub(super) async fn bans(client: &Client, whom: &Whom, form: Form) -> Result<(), Fault> {
    let bans = client.ask(&find(client, &whom.machine).await?.id, "bans").await?;
    let columns = [
        ("from", "/source_ip"),
        ("as", "/user"),
        ("why", "/why"),
        ("how often", "/count"),
        ("until", "/until_ms"),
    ];
    form.foreign(&bans, &columns)
}

pub(super) async fn unban(client: &Client, ban: &Unban, form: Form) -> Result<(), Fault> {
    let id = find(client, &ban.machine).await?.id;
    client.lift_ban(&id, &ban.source_ip.to_string(), ban.user.as_deref()).await?;
    let lifted = serde_json::json!({ "source_ip": ban.source_ip, "user": ban.user });
    form.one(&lifted, "the ban is lifted")
}

pub(super) async fn explain(client: &Client, wanted: &Explain, form: Form) -> Result<(), Fault> {
    let id = find(client, &wanted.machine).await?.id;
    let query = format!("explain?from={}&to={}", segment(&wanted.from), segment(&wanted.to));
    let said = client.ask(&id, &query).await?;
    let mut table = Table::new(&["step", "looked at", "found"]);
    for step in said.get("steps").and_then(Value::as_array).into_iter().flatten() {
        table.row(["rule", "subject", "verdict"].map(|name| plain(step.get(name))));
    }
    form.one(&said, &format!("{table}\n\noutcome: {}", plain(said.get("outcome"))))
}

/// `{"matches":"extensions"}` is told as `matches extensions`.
fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::Object(fields)) => {
            let told: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} {}", plain(Some(value)))).collect();
            told.join(", ")
        }
        other => cell(other),
    }
}

/// A piece of a path or query: what is not plain is percent-encoded (RFC 3986 § 2.1).
pub(super) fn segment(text: &str) -> String {
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
