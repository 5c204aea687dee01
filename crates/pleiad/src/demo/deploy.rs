//! The work of an administrator: from machines with nothing in them to a network in service.
//!
//! Every step looks first and does only what is missing, so that a start that was interrupted is finished by the next
//! one, a second start finds everything again, and what the operator changed meanwhile stays.

use super::phones::{self, Phone};
use super::plan::{BARRED_LIST, CLASS_RESTRICTED, CLASS_STANDARD, EMERGENCY, Member, NODES, Plan, RANGE};
use super::{Progress, line};
use crate::secret;
use anyhow::{Context, Result, bail};
use manager::client::{Client, ClientError, Fingerprint};
use manager::view::Progress as Stage;
use manager::view::{Deployment, LinkState, MachineCreate, MachineView, MultiSiteRequest, RegionRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The demo's place in the topology.
const REGION: &str = "demo";
const MULTI_SITE: &str = "demo";
/// Where the passwords of the machines' web administrations are kept.
const LOGINS_FILE: &str = "logins.txt";
/// How long the nodes may take to be connected.
const IN_SERVICE: Duration = Duration::from_secs(30);
/// How often the map is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The network that was deployed.
pub(super) struct Network {
    /// None when the operator changed the manager's first password: then only they can log in.
    client: Option<Client>,
    /// `user password` of the manager.
    pub(super) login: String,
    /// `user password` of each machine's web administration.
    pub(super) member_logins: BTreeMap<String, String>,
    pub(super) phones: Vec<Phone>,
}

/// A member as `pleiad demo status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MemberStatus {
    pub(super) name: String,
    pub(super) number: u8,
    pub(super) role: String,
    pub(super) state: String,
    pub(super) revision: Option<u64>,
    pub(super) bindings: Option<u64>,
    pub(super) calls: Option<u64>,
    /// The line to the cluster server: `whole`, `cut`, or a dash for the cluster server itself.
    pub(super) line: String,
}

/// Brings the network into service.
pub(super) async fn deploy(plan: &Plan, dir: &Path, progress: Progress) -> Result<Network> {
    let (client, login) = log_in(plan, dir).await?;
    let mut member_logins = read_logins(dir);
    let known_phones = phones::read(dir)?;
    let Some(client) = client else {
        let phones = known_phones
            .context("the first start was not finished, and the manager's password was changed")?;
        progress.says("the manager's first password was changed, so the demo leaves the network as it is");
        return Ok(Network { client: None, login, member_logins, phones });
    };
    place(&client).await?;
    let mut cluster = String::new();
    for member in plan.members() {
        let machine = deploy_member(&client, plan, dir, member, progress, &mut member_logins).await?;
        cluster = machine.cluster.unwrap_or(cluster);
    }
    let phones = match known_phones {
        Some(phones) => phones,
        None => phones::make(plan, dir)?,
    };
    fill(&client, &cluster, plan, &phones, progress).await?;
    timeout(IN_SERVICE, connected(&client))
        .await
        .context("the nodes do not connect; `pleiad ctl doctor` and logs/node-1.log say why")??;
    Ok(Network { client: Some(client), login, member_logins, phones })
}

/// Logs in as the first operator does, with what the manager's console showed.
async fn log_in(plan: &Plan, dir: &Path) -> Result<(Option<Client>, String)> {
    let read = |name: &str| {
        let file = dir.join("manager").join(name);
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let login = read("manager.txt")?.trim().to_owned();
    let fingerprint: Fingerprint =
        read("fingerprint")?.trim().parse().context("the manager's fingerprint")?;
    secret::write(&dir.join("manager.txt"), &format!("{login}\n"))?;
    let (user, password) = login.split_once(' ').context("manager.txt is not `user password`")?;
    let mut client = Client::new(&plan.manager_address().to_string(), fingerprint)?;
    match client.login(user, password).await {
        Ok(_) => Ok((Some(client), login)),
        Err(fault) if is_refused(&fault) => Ok((None, format!("{user} (your own password)"))),
        Err(fault) => Err(fault).context("cannot log in to the manager"),
    }
}

fn is_refused(fault: &ClientError) -> bool {
    fault.refusal().is_some_and(|refusal| matches!(refusal.status.as_u16(), 401 | 403))
}

/// The region and the multi-site (DCS-03, DCS-04).
async fn place(client: &Client) -> Result<()> {
    let region = match client.regions().await?.into_iter().find(|region| region.name == REGION) {
        Some(region) => region,
        None => {
            client.create_region(&RegionRequest { name: REGION.to_owned(), comment: String::new() }).await?
        }
    };
    if client.multi_sites().await?.iter().all(|site| site.name != MULTI_SITE) {
        let name = MULTI_SITE.to_owned();
        client
            .create_multi_site(&MultiSiteRequest { name, region: region.id, comment: String::new() })
            .await?;
    }
    Ok(())
}

/// Creates, claims, identifies and configures one machine, as far as that is not done yet.
async fn deploy_member(
    client: &Client,
    plan: &Plan,
    dir: &Path,
    member: &Member,
    progress: Progress,
    logins: &mut BTreeMap<String, String>,
) -> Result<MachineView> {
    let mut machine = find_or_create(client, plan, member).await?;
    if machine.progress == Stage::Created {
        let file = dir.join(member.name).join("claim-code");
        let code =
            std::fs::read_to_string(&file).with_context(|| format!("no claim code in {}", file.display()))?;
        machine = done(client.claim(&machine.id, code.trim()).await, member, "claimed", progress)?.machine;
    }
    if machine.progress == Stage::Claimed {
        machine = done(client.identify(&machine.id).await, member, "identified", progress)?.machine;
    }
    if machine.progress != Stage::Configured {
        let deployment = done(client.configure(&machine.id, false).await, member, "configured", progress)?;
        if let Some(password) = &deployment.admin_password {
            logins.insert(member.name.to_owned(), format!("admin {password}"));
            write_logins(dir, logins)?;
        }
        machine = deployment.machine;
    }
    Ok(machine)
}

async fn find_or_create(client: &Client, plan: &Plan, member: &Member) -> Result<MachineView> {
    let machines = client.machines().await?;
    if let Some(machine) = machines.iter().find(|machine| machine.name == member.name) {
        return Ok(machine.clone());
    }
    let address = plan.at(member, member.web_port).to_string();
    let request = if member.number == 0 {
        let sites = client.multi_sites().await?;
        let site = sites.iter().find(|site| site.name == MULTI_SITE).context("the multi-site is gone")?;
        MachineCreate {
            domain: Some(plan.domain.clone()),
            link_address: Some(plan.at(member, member.link_port).to_string()),
            ..MachineCreate::cluster_server(member.name, &address, &site.id)
        }
    } else {
        let [centre, ..] = plan.members() else { bail!("the plan has no cluster server") };
        let cs = machines
            .iter()
            .find(|machine| machine.name == centre.name)
            .context("the cluster server is gone")?;
        // The node sees the cluster server through its line, not at its own address.
        let line = plan.dialled_by(member.number);
        MachineCreate {
            link_address: Some(line.to_string()),
            ..MachineCreate::node(member.name, &address, &cs.id)
        }
    };
    client
        .create_machine(&request)
        .await
        .with_context(|| format!("cannot put {} into the topology", member.name))
}

/// The deployment, or why the step failed with the next thing to do.
fn done(
    outcome: Result<Deployment, ClientError>,
    member: &Member,
    step: &str,
    progress: Progress,
) -> Result<Deployment> {
    let deployment = match outcome {
        Ok(deployment) => deployment,
        Err(fault) => match fault.refusal() {
            Some(refusal) => {
                let next = refusal.next.as_deref().unwrap_or("see `pleiad ctl operations`");
                bail!("{} cannot be {step}: {}\n  next: {next}", member.name, refusal.message)
            }
            None => return Err(fault).with_context(|| format!("{} cannot be {step}", member.name)),
        },
    };
    progress.says(&format!("{} is {step}", member.name));
    Ok(deployment)
}

/// The common data and the subscribers, those that are missing.
async fn fill(
    client: &Client,
    cluster: &str,
    plan: &Plan,
    phones: &[Phone],
    progress: Progress,
) -> Result<()> {
    let (first, last) = RANGE;
    let (list, prefixes) = BARRED_LIST;
    let (emergency, target) = EMERGENCY;
    let local_targets: BTreeMap<u8, &str> = plan
        .members()
        .iter()
        .filter_map(|member| Some((member.number, *member.extensions.first()?)))
        .collect();
    let common = [
        ("numbering-range", "extensions", json!({ "first": first, "last": last, "use": "extensions" })),
        ("barred-numbers", list, json!({ "prefixes": prefixes })),
        ("feature-class", CLASS_STANDARD, json!({ "description": "may call everything", "barred": [] })),
        ("feature-class", CLASS_RESTRICTED, json!({ "description": "no premium numbers", "barred": [list] })),
        (
            "special-number",
            emergency,
            json!({ "description": "emergency", "emergency": true, "target": target, "local_targets": local_targets }),
        ),
    ];
    for (kind, key, value) in common {
        write_if_missing(client, cluster, kind, key, &value).await?;
    }
    progress.says("numbering, classes, barred numbers and the emergency number are written");
    for member in plan.members() {
        for phone in phones.iter().filter(|phone| member.extensions.contains(&phone.extension.as_str())) {
            let value = json!({
                "name": format!("Phone {}", phone.extension),
                "feature_class": CLASS_STANDARD,
                "home": member.number,
                "secret": phone.password,
            });
            write_if_missing(client, cluster, "subscriber", &phone.extension, &value).await?;
        }
    }
    progress.says("six subscribers are written");
    Ok(())
}

async fn write_if_missing(
    client: &Client,
    cluster: &str,
    kind: &str,
    key: &str,
    value: &Value,
) -> Result<()> {
    match client.object(cluster, kind, key).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.refusal().is_some_and(|refusal| refusal.status.as_u16() == 404) => {
            client
                .put_object(cluster, kind, key, value)
                .await
                .with_context(|| format!("cannot write {kind} {key}"))?;
            Ok(())
        }
        Err(fault) => Err(fault).with_context(|| format!("cannot read {kind} {key}")),
    }
}

/// Waits until the map shows every link up.
async fn connected(client: &Client) -> Result<()> {
    loop {
        let map = client.map().await?;
        let up = map.links.iter().filter(|link| link.state == LinkState::Up).count();
        if up == NODES.len() {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

impl Network {
    /// Each member as the manager sees it, with the state of its line.
    pub(super) async fn status(&self, plan: &Plan, dir: &Path) -> Result<Vec<MemberStatus>> {
        let client = self.client.as_ref().context(
            "the manager's first password was changed: log in with `pleiad ctl login`, then `pleiad ctl map`",
        )?;
        let map = client.map().await?;
        let mut members = Vec::new();
        for machine in map.machines {
            let sight = machine.live.sight;
            let number = machine.node_number.unwrap_or(0);
            let line = line::state(plan, dir, number).await;
            let said = |field: fn(&manager::view::MachineSight) -> String| {
                sight.as_ref().map_or_else(|| "unknown".to_owned(), field)
            };
            members.push(MemberStatus {
                name: machine.name,
                number,
                role: said(|sight| sight.role.clone()),
                state: said(|sight| sight.state.clone()),
                revision: sight.as_ref().map(|sight| sight.revision),
                bindings: sight.as_ref().map(|sight| sight.bindings),
                calls: sight.as_ref().map(|sight| sight.calls),
                line,
            });
        }
        members.sort_by_key(|member| member.number);
        Ok(members)
    }
}

/// `name user password`, a line each.
fn read_logins(dir: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(dir.join(LOGINS_FILE)).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').map(|(name, login)| (name.to_owned(), login.to_owned()));
    text.lines().filter_map(pair).collect()
}

fn write_logins(dir: &Path, logins: &BTreeMap<String, String>) -> Result<()> {
    let mut text = String::new();
    for (name, login) in logins {
        writeln!(text, "{name} {login}")?;
    }
    secret::write(&dir.join(LOGINS_FILE), &text)
}
