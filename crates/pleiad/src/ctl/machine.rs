//! `ctl machine …`: putting machines into the topology and deploying them (DCS-05..07, 14..21, DEP-23..36).

use super::Fault;
use super::print::{Form, sheet};
use super::topology::multi_site_id;
use crate::table::Table;
use clap::{Args, Subcommand};
use manager::client::Client;
use manager::view::{Deployment, MachineCreate, MachineEdit, MachineKind, MachineView};

/// `ctl machine …`
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Put a machine into the topology; nothing is sent to it yet
    Add(Add),
    /// Change what is known of a machine
    Edit(Edit),
    /// Make a machine obey this manager, with the code its console shows
    Claim {
        /// Its name
        name: String,
        /// The claim code; without it, it is read from standard input
        #[arg(long)]
        code: Option<String>,
    },
    /// Read and check release, hardware type, dongle id and clock
    Identify {
        /// Its name
        name: String,
    },
    /// Give the machine its role
    Configure {
        /// Its name
        name: String,
        /// Even while calls are up at it; they end
        #[arg(long)]
        force: bool,
    },
    /// Everything known of a machine
    Show {
        /// Its name
        name: String,
    },
    /// List the machines
    List,
    /// Take a machine out of the topology; as a member it becomes independent
    Delete {
        /// Its name
        name: String,
    },
}

/// `ctl machine add`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad ctl machine add centre --address 192.0.2.1 --cluster-server --multi-site offices --domain pleiad.test
  pleiad ctl machine add branch --address 192.0.2.7 --node-of centre")]
pub(super) struct Add {
    /// What to call it
    name: String,
    /// Host and port of its HTTPS API; without a port, 7501
    #[arg(long, value_name = "HOST[:PORT]")]
    address: String,
    /// It becomes the cluster server of a new cluster
    #[arg(long, conflicts_with = "node_of", required_unless_present = "node_of", requires = "multi_site")]
    cluster_server: bool,
    /// It becomes a node of this cluster server
    #[arg(long, value_name = "MACHINE")]
    node_of: Option<String>,
    /// The multi-site of a cluster server
    #[arg(long)]
    multi_site: Option<String>,
    /// The SIP domain of the phones of the cluster
    #[arg(long)]
    domain: Option<String>,
    /// The site number shared by all members of the cluster
    #[arg(long)]
    site_number: Option<u16>,
    /// Cluster server: where its nodes dial. Node: where this node dials, when it is another address
    #[arg(long, alias = "link-address", value_name = "HOST:PORT")]
    cs_address: Option<String>,
    /// Where the machine stands
    #[arg(long, default_value = "")]
    postal_address: String,
    /// Information for other operators
    #[arg(long, default_value = "")]
    information: String,
    /// Anything else
    #[arg(long, default_value = "")]
    comment: String,
}

/// `ctl machine edit`
#[derive(Debug, Args)]
pub(super) struct Edit {
    /// Its present name
    name: String,
    /// Another name
    #[arg(long)]
    rename: Option<String>,
    /// Another address of its HTTPS API
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Option<String>,
    /// Another link address; an empty text takes the override away
    #[arg(long, alias = "link-address", value_name = "HOST:PORT")]
    cs_address: Option<String>,
    /// Where the machine stands
    #[arg(long)]
    postal_address: Option<String>,
    /// Information for other operators
    #[arg(long)]
    information: Option<String>,
    /// Anything else
    #[arg(long)]
    comment: Option<String>,
}

pub(super) async fn run(client: &Client, command: Command, form: Form) -> Result<(), Fault> {
    match command {
        Command::Add(add) => create(client, add, form).await,
        Command::Edit(edit) => change(client, edit, form).await,
        Command::Claim { name, code } => {
            let code = match code {
                Some(code) => code,
                None => crate::secret::ask(&format!("claim code of {name}"))?,
            };
            let machine = find(client, &name).await?;
            deployed(&client.claim(&machine.id, code.trim()).await?, form)
        }
        Command::Identify { name } => {
            let machine = find(client, &name).await?;
            deployed(&client.identify(&machine.id).await?, form)
        }
        Command::Configure { name, force } => {
            let machine = find(client, &name).await?;
            deployed(&client.configure(&machine.id, force).await?, form)
        }
        Command::Show { name } => {
            let machine = client.machine(&find(client, &name).await?.id).await?;
            form.one(&machine, &sheet(&serde_json::to_value(&machine)?))
        }
        Command::List => list(client, form).await,
        Command::Delete { name } => {
            let machine = find(client, &name).await?;
            client.delete_machine(&machine.id).await?;
            form.one(&serde_json::json!({ "deleted": machine.id }), &format!("{name} is out of the topology"))
        }
    }
}

/// A machine by its name or key.
pub(super) async fn find(client: &Client, name: &str) -> Result<MachineView, Fault> {
    let machines = client.machines().await?;
    machines.into_iter().find(|machine| machine.name == name || machine.id == name).ok_or_else(|| {
        Fault::Unknown { what: "machine", name: name.to_owned(), next: "pleiad ctl machine list shows them" }
    })
}

async fn create(client: &Client, add: Add, form: Form) -> Result<(), Fault> {
    let base = match (&add.node_of, &add.multi_site) {
        (Some(cs), _) => MachineCreate::node(&add.name, &add.address, &find(client, cs).await?.id),
        (None, Some(site)) => {
            MachineCreate::cluster_server(&add.name, &add.address, &multi_site_id(client, site).await?)
        }
        (None, None) => {
            let message = "a cluster server needs its multi-site".to_owned();
            return Err(Fault::Unclear { message, next: "add --multi-site NAME" });
        }
    };
    let wanted = MachineCreate {
        link_address: add.cs_address,
        domain: add.domain,
        site_number: add.site_number,
        postal_address: add.postal_address,
        information: add.information,
        comment: add.comment,
        ..base
    };
    let made = client.create_machine(&wanted).await?;
    form.one(&made, &format!("{} is in the topology\nnext:  {}", made.name, made.next))
}

async fn change(client: &Client, edit: Edit, form: Form) -> Result<(), Fault> {
    let machine = find(client, &edit.name).await?;
    let wanted = MachineEdit {
        name: edit.rename,
        address: edit.address,
        link_address: edit.cs_address,
        postal_address: edit.postal_address,
        information: edit.information,
        comment: edit.comment,
    };
    let changed = client.edit_machine(&machine.id, &wanted).await?;
    form.one(&changed, &format!("{} is changed", changed.name))
}

/// What a deployment act did, step by step.
fn deployed(deployment: &Deployment, form: Form) -> Result<(), Fault> {
    let mut table = Table::new(&["step", "outcome", "ms", "detail", "next"]);
    for step in &deployment.steps {
        let duration = step.duration_ms.to_string();
        table.row([step.step.as_str(), step.outcome.name(), &duration, &step.detail, &step.next]);
    }
    let mut lines = table.to_string();
    for warning in &deployment.warnings {
        lines.push_str(&format!("\nwarning: {warning}"));
    }
    if let Some(password) = &deployment.admin_password {
        lines.push_str(&format!("\nweb administration of {}: admin {password}", deployment.machine.name));
    }
    if !deployment.machine.next.is_empty() {
        lines.push_str(&format!("\nnext:  {}", deployment.machine.next));
    }
    form.one(deployment, &lines)
}

async fn list(client: &Client, form: Form) -> Result<(), Fault> {
    let machines = client.machines().await?;
    let head = ["name", "kind", "number", "address", "progress", "state", "release", "next"];
    form.many(&machines, head, |machine: &MachineView| {
        let sight = machine.live.as_ref().and_then(|live| live.sight.as_ref());
        [
            machine.name.clone(),
            kind(machine.kind).to_owned(),
            machine.node_number.map_or_else(|| "–".to_owned(), |number| number.to_string()),
            machine.address.clone(),
            word(&machine.progress),
            sight.map_or_else(|| "–".to_owned(), |sight| sight.state.clone()),
            machine.release.clone().unwrap_or_else(|| "–".to_owned()),
            machine.next.clone(),
        ]
    })
}

pub(super) fn kind(kind: MachineKind) -> &'static str {
    match kind {
        MachineKind::ClusterServer => "cluster-server",
        MachineKind::Node => "node",
    }
}

/// The word that an enum has in JSON.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    super::print::cell(serde_json::to_value(value).ok().as_ref())
}
