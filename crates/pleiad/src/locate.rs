//! `pleiad locate`: where a SIP URI leads, and by which records; the same location the phone and trunks use.

use crate::table::Table;
use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use ipbx::shell::resolve::{Asked, Choice, Location, Resolver, SPOKEN, Transport, Uri, written};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Where a SIP URI leads: the servers in the order they are tried (RFC 3263).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad locate sip:example.org
  pleiad locate 'sips:carrier.example'
  pleiad locate 'sip:example.org;transport=tcp' --dns 192.0.2.53:53
  pleiad locate example.org --json
The first table has the servers, the second what was asked for them. Servers of one priority are drawn by weight, anew each time.")]
pub(crate) struct Options {
    /// What to locate; `sip:` may be left out
    #[arg(value_name = "URI")]
    uri: String,
    /// Ask this name server and nobody else
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
    /// Speak only this transport; may be given more than once, the dearest first
    #[arg(long, value_name = "TRANSPORT")]
    only: Vec<Spoken>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A transport on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Spoken {
    Udp,
    Tcp,
    Tls,
}

impl Spoken {
    pub(crate) fn transport(self) -> Transport {
        match self {
            Spoken::Udp => Transport::Udp,
            Spoken::Tcp => Transport::Tcp,
            Spoken::Tls => Transport::Tls,
        }
    }
}

/// Locates and prints.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let only: Vec<Transport> = options.only.iter().map(|spoken| spoken.transport()).collect();
    let spoken = if only.is_empty() { SPOKEN.to_vec() } else { only };
    let location = locate(&options.uri, options.dns, &spoken).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&options.uri, &location))?);
    } else {
        println!("{}", targets(&location.choices));
        if !location.asked.is_empty() {
            println!("\n{}", questions(&location.asked));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where `text` leads, a URI or what comes after its `sip:`.
pub(crate) async fn locate(text: &str, dns: Option<SocketAddr>, spoken: &[Transport]) -> Result<Location> {
    let schemed = ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let whole = if schemed { text.to_owned() } else { format!("sip:{text}") };
    let uri = Uri::parse(&whole).map_err(|fault| {
        anyhow!("'{text}' is no SIP URI ({fault})\n  next: give one like sip:example.org")
    })?;
    let resolver = match dns {
        Some(server) => Resolver::asking(server)?,
        None => Resolver::of_system()?,
    };
    Ok(resolver.locate(&uri, spoken).await?)
}

fn targets(choices: &[Choice]) -> Table {
    let mut table =
        Table::new(&["try", "transport", "address", "port", "priority", "weight", "host", "from"]);
    for (number, choice) in choices.iter().enumerate() {
        let of_service = |value: fn(&ipbx::shell::resolve::Service) -> u16| {
            choice.service.as_ref().map_or_else(|| "-".to_owned(), |service| value(service).to_string())
        };
        table.row([
            (number + 1).to_string(),
            choice.target.transport.as_str().to_owned(),
            choice.target.address.ip().to_string(),
            choice.target.address.port().to_string(),
            of_service(|service| service.priority),
            of_service(|service| service.weight),
            choice.host.clone(),
            from(choice),
        ]);
    }
    table
}

/// The records that led to it.
fn from(choice: &Choice) -> String {
    let Some(service) = &choice.service else {
        let literal = choice.host == choice.target.address.ip().to_string();
        return if literal { "the URI" } else { "A or AAAA" }.to_owned();
    };
    match service.naptr {
        Some((order, preference)) => format!("NAPTR {order} {preference}, SRV {}", service.name),
        None => format!("SRV {}", service.name),
    }
}

fn questions(asked: &[Asked]) -> Table {
    let mut table = Table::new(&["asked", "records", "lives for"]);
    for it in asked {
        match &it.outcome {
            Ok(records) => {
                let (count, lives) = (records.len().to_string(), format!("{} s", it.lives.as_secs()));
                table.row([written(&it.question), count, lives]);
            }
            Err(fault) => table.row([written(&it.question), fault.to_string(), "-".to_owned()]),
        }
    }
    table
}

fn as_json(uri: &str, location: &Location) -> Value {
    let target = |choice: &Choice| {
        let service = choice.service.as_ref();
        json!({
            "transport": choice.target.transport.as_str(),
            "address": choice.target.address.ip(),
            "port": choice.target.address.port(),
            "host": choice.host,
            "service": service.map(|service| &service.name),
            "priority": service.map(|service| service.priority),
            "weight": service.map(|service| service.weight),
            "naptr": service.and_then(|service| service.naptr).map(
                |(order, preference)| json!({ "order": order, "preference": preference })
            ),
        })
    };
    let asked = |it: &Asked| {
        json!({
            "question": written(&it.question),
            "records": it.outcome.as_ref().ok(),
            "fault": it.outcome.as_ref().err().map(ToString::to_string),
            "lives_s": it.lives.as_secs(),
        })
    };
    json!({
        "uri": uri,
        "targets": location.choices.iter().map(target).collect::<Vec<_>>(),
        "asked": location.asked.iter().map(asked).collect::<Vec<_>>(),
    })
}
