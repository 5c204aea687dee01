//! `ctl object …`: the objects of a cluster, written at its cluster server (SYN-01, SYN-02, SYN-06, SYN-08).

use super::Fault;
use super::cluster::segment;
use super::machine::find;
use super::print::Form;
use anyhow::Context;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use manager::client::Client;
use manager::view::{MachineKind, MachineView};
use serde_json::Value;
use std::io::Read as _;

/// The kinds an administrator writes.
const KINDS: [&str; 7] =
    ["numbering-range", "feature-class", "barred-numbers", "special-number", "subscriber", "cluster", "node"];

/// `ctl object …`
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the objects of a kind
    List {
        #[command(flatten)]
        whose: Whose,
        /// As this machine holds them, instead of the cluster server
        #[arg(long, value_name = "MACHINE")]
        at: Option<String>,
    },
    /// Print one object
    Get {
        #[command(flatten)]
        whose: Whose,
        /// Its key
        key: String,
        /// As this machine holds it, instead of the cluster server
        #[arg(long, value_name = "MACHINE")]
        at: Option<String>,
    },
    /// Create or replace an object
    #[command(after_help = "Examples:
  pleiad ctl object put numbering-range extensions --value '{\"first\":\"2000\",\"last\":\"2999\",\"use\":\"extensions\"}'
  pleiad ctl object put barred-numbers premium --value '{\"prefixes\":[\"0900\"]}'
  pleiad ctl object put feature-class standard --value '{\"barred\":[\"premium\"]}'
  pleiad ctl object put special-number 112 --value '{\"emergency\":true,\"target\":\"2001\"}'
  pleiad ctl object put subscriber 2101 --value '{\"name\":\"Ann\",\"feature_class\":\"standard\",\"home\":1}'
A subscriber without \"secret\" gets one, which is printed once.")]
    Put {
        #[command(flatten)]
        whose: Whose,
        /// Its key
        key: String,
        /// The object as JSON; without it, it is read from standard input
        #[arg(long, value_name = "JSON")]
        value: Option<String>,
    },
    /// Delete an object
    Delete {
        #[command(flatten)]
        whose: Whose,
        /// Its key
        key: String,
    },
}

/// A kind in a cluster.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// What sort of object
    #[arg(value_parser = PossibleValuesParser::new(KINDS))]
    kind: String,
    /// The cluster, by its id or its cluster server; not needed while there is only one
    #[arg(long)]
    cluster: Option<String>,
}

pub(super) async fn run(client: &Client, command: Command, form: Form) -> Result<(), Fault> {
    match command {
        Command::List { whose, at } => {
            let objects = match at {
                Some(machine) => {
                    let path = format!("objects/{}", whose.kind);
                    client.ask(&find(client, &machine).await?.id, &path).await?
                }
                None => {
                    client.objects(&cluster(client, whose.cluster.as_deref()).await?, &whose.kind).await?
                }
            };
            let columns = columns(&whose.kind);
            let columns: Vec<(&str, &str)> =
                columns.iter().map(|(title, at)| (*title, at.as_str())).collect();
            form.foreign(&objects, &columns)
        }
        Command::Get { whose, key, at } => {
            let object = match at {
                Some(machine) => {
                    let path = format!("objects/{}/{}", whose.kind, segment(&key));
                    client.ask(&find(client, &machine).await?.id, &path).await?
                }
                None => {
                    let id = cluster(client, whose.cluster.as_deref()).await?;
                    client.object(&id, &whose.kind, &key).await?
                }
            };
            form.foreign(&object, &[])
        }
        Command::Put { whose, key, value } => {
            let value: Value = serde_json::from_str(&given(value)?)?;
            let id = cluster(client, whose.cluster.as_deref()).await?;
            let written = client.put_object(&id, &whose.kind, &key, &value).await?;
            let mut lines = format!("{} {key} is in force from revision {}", whose.kind, written.revision);
            if let Some(secret) = &written.secret {
                lines.push_str(&format!("\nits secret, shown here and nowhere again:  {secret}"));
            }
            form.one(&written, &lines)
        }
        Command::Delete { whose, key } => {
            let id = cluster(client, whose.cluster.as_deref()).await?;
            let answer = client.delete_object(&id, &whose.kind, &key).await?;
            form.one(&answer, &format!("{} {key} is deleted", whose.kind))
        }
    }
}

fn given(value: Option<String>) -> Result<String, Fault> {
    match value {
        Some(text) => Ok(text),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("nothing came on standard input")?;
            Ok(text)
        }
    }
}

/// The columns of a list: title and place in the JSON.
fn columns(kind: &str) -> Vec<(&'static str, String)> {
    let fields: &[&str] = match kind {
        "numbering-range" => &["first", "last", "use"],
        "feature-class" => &["description", "barred", "sees"],
        "barred-numbers" => &["prefixes"],
        "special-number" => &["description", "emergency", "target", "local_targets"],
        "subscriber" => &["name", "feature_class", "home", "general_purpose"],
        "node" => &["name", "dongle_id"],
        _ => &["id", "name", "domain", "site_number"],
    };
    let values = fields.iter().map(|field| (*field, format!("/value/{field}")));
    let (key, revision) = (("key", "/key".to_owned()), ("revision", "/revision".to_owned()));
    std::iter::once(key).chain(values).chain([revision]).collect()
}

/// The id of the cluster that is meant.
pub(super) async fn cluster(client: &Client, named: Option<&str>) -> Result<String, Fault> {
    let machines = client.machines().await?;
    let is_centre =
        |machine: &MachineView| machine.kind == MachineKind::ClusterServer && machine.cluster.is_some();
    let mut centres: Vec<MachineView> = machines.into_iter().filter(is_centre).collect();
    if let Some(name) = named {
        centres.retain(|cs| cs.cluster.as_deref() == Some(name) || cs.name == name || cs.id == name);
    }
    let unclear = |message: &str, next| Fault::Unclear { message: message.to_owned(), next };
    match (centres.as_slice(), named) {
        ([cs], _) => Ok(cs.cluster.clone().unwrap_or_default()),
        ([], Some(name)) => Err(Fault::Unknown {
            what: "cluster",
            name: name.to_owned(),
            next: "pleiad ctl machine list shows the cluster servers",
        }),
        ([], None) => Err(unclear(
            "there is no configured cluster server yet",
            "pleiad ctl machine add NAME --address HOST --cluster-server --multi-site M, then claim, identify, configure",
        )),
        (_, _) => Err(unclear("there are several clusters", "say which one with --cluster")),
    }
}
