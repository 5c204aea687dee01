//! `ctl region …` and `ctl multi-site …` (DCS-03, DCS-04).

use super::Fault;
use super::print::Form;
use clap::Subcommand;
use manager::client::Client;
use manager::view::{MultiSiteRequest, MultiSiteView, RegionRequest, RegionView};

/// `ctl region …`
#[derive(Debug, Subcommand)]
pub(super) enum RegionCommand {
    /// Create a region
    Add {
        /// Its name
        name: String,
        /// Anything worth knowing
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// List the regions
    List,
    /// Delete a region that is empty
    Delete {
        /// Its name
        name: String,
    },
}

/// `ctl multi-site …`
#[derive(Debug, Subcommand)]
pub(super) enum MultiSiteCommand {
    /// Create a multi-site in a region
    Add {
        /// Its name
        name: String,
        /// The region it lies in
        #[arg(long)]
        region: String,
        /// Anything worth knowing
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// List the multi-sites
    List,
    /// Delete a multi-site that is empty
    Delete {
        /// Its name
        name: String,
    },
}

pub(super) async fn region(client: &Client, command: RegionCommand, form: Form) -> Result<(), Fault> {
    match command {
        RegionCommand::Add { name, comment } => {
            let made = client.create_region(&RegionRequest { name, comment }).await?;
            form.one(&made, &format!("region {} is created", made.name))
        }
        RegionCommand::List => {
            let regions = client.regions().await?;
            form.many(&regions, ["name", "id", "comment"], |region: &RegionView| {
                [region.name.clone(), region.id.clone(), region.comment.clone()]
            })
        }
        RegionCommand::Delete { name } => {
            let id = region_id(client, &name).await?;
            client.delete_region(&id).await?;
            form.one(&serde_json::json!({ "deleted": id }), &format!("region {name} is deleted"))
        }
    }
}

pub(super) async fn multi_site(client: &Client, command: MultiSiteCommand, form: Form) -> Result<(), Fault> {
    match command {
        MultiSiteCommand::Add { name, region, comment } => {
            let region = region_id(client, &region).await?;
            let made = client.create_multi_site(&MultiSiteRequest { name, region, comment }).await?;
            form.one(&made, &format!("multi-site {} is created", made.name))
        }
        MultiSiteCommand::List => {
            let sites = client.multi_sites().await?;
            form.many(&sites, ["name", "id", "region", "comment"], |site: &MultiSiteView| {
                [site.name.clone(), site.id.clone(), site.region.clone(), site.comment.clone()]
            })
        }
        MultiSiteCommand::Delete { name } => {
            let id = multi_site_id(client, &name).await?;
            client.delete_multi_site(&id).await?;
            form.one(&serde_json::json!({ "deleted": id }), &format!("multi-site {name} is deleted"))
        }
    }
}

/// The key of a region, by name or key.
async fn region_id(client: &Client, name: &str) -> Result<String, Fault> {
    let regions = client.regions().await?;
    let found = regions.into_iter().find(|region| region.name == name || region.id == name);
    found.map(|region| region.id).ok_or_else(|| Fault::Unknown {
        what: "region",
        name: name.to_owned(),
        next: "pleiad ctl region list shows them",
    })
}

/// The key of a multi-site, by name or key.
pub(super) async fn multi_site_id(client: &Client, name: &str) -> Result<String, Fault> {
    let sites = client.multi_sites().await?;
    let found = sites.into_iter().find(|site| site.name == name || site.id == name);
    found.map(|site| site.id).ok_or_else(|| Fault::Unknown {
        what: "multi-site",
        name: name.to_owned(),
        next: "pleiad ctl multi-site list shows them",
    })
}
