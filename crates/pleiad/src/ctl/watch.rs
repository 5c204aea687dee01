//! `ctl operations`, `ctl map`, `ctl doctor`: what happens, how it stands, what is wrong (DEP-45).

use super::Fault;
use super::machine::{kind, word};
use super::print::{Form, instant};
use crate::table::Table;
use clap::Args;
use manager::client::Client;
use manager::view::{Map, Operation, Verdict};
use std::time::Duration;
use tokio::time::sleep;

/// How often a followed log is read.
const FOLLOW: Duration = Duration::from_millis(500);

/// `ctl operations`
#[derive(Debug, Args)]
pub(super) struct Operations {
    /// How many of the last entries
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on printing what happens, until Ctrl-C
    #[arg(long)]
    follow: bool,
}

pub(super) async fn operations(client: &Client, wanted: Operations, form: Form) -> Result<(), Fault> {
    let mut entries = client.operations(wanted.limit).await?;
    entries.sort_by_key(|entry| entry.id);
    if !wanted.follow {
        let head = ["when", "who", "what", "where", "outcome", "ms", "detail", "next"];
        return form.many(&entries, head, cells);
    }
    let mut seen = 0;
    loop {
        for entry in entries.iter().filter(|entry| entry.id > seen) {
            form.one(entry, cells(entry).join("  ").trim_end())?;
        }
        seen = entries.last().map_or(seen, |entry| entry.id.max(seen));
        sleep(FOLLOW).await;
        entries = client.operations(wanted.limit).await?;
        entries.sort_by_key(|entry| entry.id);
    }
}

fn cells(entry: &Operation) -> [String; 8] {
    [
        instant(entry.when_ms),
        entry.who.clone(),
        entry.what.clone(),
        entry.place.clone(),
        entry.outcome.name().to_owned(),
        entry.duration_ms.to_string(),
        entry.detail.clone(),
        entry.next.clone(),
    ]
}

pub(super) async fn map(client: &Client, form: Form) -> Result<(), Fault> {
    let map = client.map().await?;
    form.one(&map, &format!("{}\n\n{}", machines(&map), links(&map)))
}

fn machines(map: &Map) -> Table {
    let mut table =
        Table::new(&["machine", "kind", "number", "reach", "state", "revision", "phones", "calls"]);
    for machine in &map.machines {
        let sight = machine.live.sight.as_ref();
        let count = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), |number| number.to_string());
        table.row([
            machine.name.clone(),
            kind(machine.kind).to_owned(),
            machine.node_number.map_or_else(|| "–".to_owned(), |number| number.to_string()),
            word(&machine.live.reach),
            sight.map_or_else(|| "–".to_owned(), |sight| sight.state.clone()),
            count(sight.map(|sight| sight.revision)),
            count(sight.map(|sight| sight.bindings)),
            count(sight.map(|sight| sight.calls)),
        ]);
    }
    table
}

fn links(map: &Map) -> Table {
    let mut table = Table::new(&["link", "to", "state", "since", "behind", "equal", "detail"]);
    for link in &map.links {
        table.row([
            link.node.clone(),
            link.cs.clone(),
            link.state.name().to_owned(),
            instant(link.since_ms),
            link.lag.map_or_else(|| "–".to_owned(), |lag| lag.to_string()),
            link.digest_equal.map_or("–", |equal| if equal { "yes" } else { "NO" }).to_owned(),
            link.detail.clone(),
        ]);
    }
    table
}

/// Fails when something is wrong, so that a script notices.
pub(super) async fn doctor(client: &Client, form: Form) -> Result<(), Fault> {
    let findings = client.doctor().await?;
    let mut table = Table::new(&["verdict", "what", "check", "found", "next"]);
    for check in &findings.checks {
        let cells = [check.verdict.name(), &check.subject, &check.check, &check.detail, &check.next];
        table.row(cells);
    }
    form.one(&findings, &format!("{table}\n\nverdict: {}", findings.verdict.name()))?;
    if findings.verdict == Verdict::Fault { Err(Fault::Sick) } else { Ok(()) }
}
