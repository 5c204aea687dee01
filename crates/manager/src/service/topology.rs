//! Regions, multi-sites and machines: made, shown, changed (DCS-03..07, DEP-23, DEP-24). Their deployment is in
//! [`super::deployment`].

use super::error::ServiceError;
use super::journal::Told;
use super::state::{Topology, missing};
use super::{Service, administrator};
use crate::view::{
    MachineCreate, MachineEdit, MachineKind, MachineView, MultiSiteRequest, MultiSiteView, Progress,
    RegionRequest, RegionView,
};
use model::Kind;
use model::deploy;
use model::object::Object;
use model::topology::{self as domain, HostPort, LINK_PORT, Purpose, WEB_PORT, key_of_name};
use std::collections::BTreeMap;
use store::Commit;
use web::Principal;

/// The SIP domain of a cluster unless said otherwise.
const DOMAIN: &str = "pleiad.test";
/// The site number of a cluster unless said otherwise (ARC-22).
const SITE_NUMBER: u16 = 1;

impl Service {
    /// The regions.
    #[must_use]
    pub fn regions(&self) -> Vec<RegionView> {
        self.snapshot().regions.iter().map(|(key, region)| region_view(key, region)).collect()
    }

    /// Makes a region (DCS-03).
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn create_region(
        &self,
        who: &Principal,
        request: &RegionRequest,
    ) -> Result<RegionView, ServiceError> {
        let deed = Deed { verb: "create region", subject: &request.name, told: "region created".to_owned() };
        self.change(who, deed, |topology| {
            let key = key_of_name(&request.name, |key| topology.regions.contains_key(key));
            keep_region(topology, key, request)
        })
        .await
    }

    /// Renames a region or changes its comment.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn edit_region(
        &self,
        who: &Principal,
        key: &str,
        request: &RegionRequest,
    ) -> Result<RegionView, ServiceError> {
        let deed = Deed { verb: "edit region", subject: key, told: "region changed".to_owned() };
        self.change(who, deed, |topology| {
            topology.region(key)?;
            keep_region(topology, key.to_owned(), request)
        })
        .await
    }

    /// Deletes a region that holds nothing.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn delete_region(&self, who: &Principal, key: &str) -> Result<(), ServiceError> {
        let deed = Deed { verb: "delete region", subject: key, told: "region deleted".to_owned() };
        self.change(who, deed, |topology| {
            topology.region(key)?;
            let count = topology.multi_sites.values().filter(|site| site.region == key).count();
            refuse_used("region", key, count, "multi-sites")?;
            let mut next = topology.clone();
            next.regions.remove(key);
            Ok((Commit::new().delete(Kind::Region, key), next, ()))
        })
        .await
    }

    /// The multi-sites.
    #[must_use]
    pub fn multi_sites(&self) -> Vec<MultiSiteView> {
        self.snapshot().multi_sites.iter().map(|(key, site)| multi_site_view(key, site)).collect()
    }

    /// Makes a multi-site in a region (DCS-04).
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn create_multi_site(
        &self,
        who: &Principal,
        request: &MultiSiteRequest,
    ) -> Result<MultiSiteView, ServiceError> {
        let told = format!("created in region '{}'", request.region);
        let deed = Deed { verb: "create multi-site", subject: &request.name, told };
        self.change(who, deed, |topology| {
            let key = key_of_name(&request.name, |key| topology.multi_sites.contains_key(key));
            keep_multi_site(topology, key, request)
        })
        .await
    }

    /// Renames a multi-site, moves it to another region, or changes its comment.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn edit_multi_site(
        &self,
        who: &Principal,
        key: &str,
        request: &MultiSiteRequest,
    ) -> Result<MultiSiteView, ServiceError> {
        let deed = Deed { verb: "edit multi-site", subject: key, told: "multi-site changed".to_owned() };
        self.change(who, deed, |topology| {
            topology.multi_site(key)?;
            keep_multi_site(topology, key.to_owned(), request)
        })
        .await
    }

    /// Deletes a multi-site that holds nothing.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn delete_multi_site(&self, who: &Principal, key: &str) -> Result<(), ServiceError> {
        let deed = Deed { verb: "delete multi-site", subject: key, told: "multi-site deleted".to_owned() };
        self.change(who, deed, |topology| {
            topology.multi_site(key)?;
            let inside = |machine: &&domain::Machine| {
                matches!(&machine.purpose, Purpose::ClusterServer { multi_site, .. } if multi_site == key)
            };
            let count = topology.machines.values().filter(inside).count();
            refuse_used("multi-site", key, count, "cluster servers")?;
            let mut next = topology.clone();
            next.multi_sites.remove(key);
            Ok((Commit::new().delete(Kind::MultiSite, key), next, ()))
        })
        .await
    }

    /// An administrator's change: planned, kept, and told in the operations log.
    async fn change<T>(
        &self,
        who: &Principal,
        deed: Deed<'_>,
        plan: impl FnOnce(&Topology) -> Planned<T>,
    ) -> Result<T, ServiceError> {
        administrator(who)?;
        let Deed { verb, subject, told } = deed;
        let work = self.edit(plan);
        let told = async { Ok(Told::new(work.await?, told)) };
        self.journal().record(&who.user, verb, subject, told).await.0
    }

    /// The machines.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineView> {
        let topology = self.snapshot();
        topology.by_key().map(|(key, machine)| self.machine_view(&topology, key, machine)).collect()
    }

    /// One machine.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub fn machine_of(&self, key: &str) -> Result<MachineView, ServiceError> {
        let topology = self.snapshot();
        let machine = topology.machine(key)?;
        Ok(self.machine_view(&topology, key, machine))
    }

    /// Puts a machine into the topology: a cluster server into a multi-site (DCS-05, DCS-06), a node into a
    /// cluster (DEP-23).
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn create_machine(
        &self,
        who: &Principal,
        request: &MachineCreate,
    ) -> Result<MachineView, ServiceError> {
        administrator(who)?;
        let work = self.edit(|topology| {
            let key = key_of_name(&request.name, |key| topology.machines.contains_key(key));
            let machine = new_machine(topology, &key, request)?;
            let (commit, next) = keep_machine(topology, &key, &machine)?;
            Ok((commit, next, key))
        });
        let told = async {
            let view = self.machine_of(&work.await?)?;
            let place = view
                .cs
                .as_deref()
                .map_or(format!("multi-site '{}'", view.multi_site), |cs| format!("cluster of '{cs}'"));
            Ok(Told::new(view, format!("created in {place}")))
        };
        let what = match request.kind {
            MachineKind::ClusterServer => "create cluster server",
            MachineKind::Node => "create node",
        };
        self.journal().record(&who.user, what, &request.name, told).await.0
    }

    /// Changes what the operator said of a machine.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn edit_machine(
        &self,
        who: &Principal,
        key: &str,
        edit: &MachineEdit,
    ) -> Result<MachineView, ServiceError> {
        administrator(who)?;
        let work = self.edit(|topology| {
            let mut machine = topology.machine(key)?.clone();
            apply(&mut machine, edit)?;
            machine.validate(key)?;
            deploy::check_name(key, &machine.name, named(&topology.machines, |machine| &machine.name))?;
            deploy::check_address(Some(key), &machine.address, topology.by_key())?;
            let (commit, next) = keep_machine(topology, key, &machine)?;
            Ok((commit, next, ()))
        });
        let told = async {
            work.await?;
            Ok(Told::new(self.machine_of(key)?, "machine changed"))
        };
        self.journal().record(&who.user, "edit machine", key, told).await.0
    }

    /// Replaces a machine by what `change` makes of it. Nothing happens to a machine that is gone.
    pub(super) async fn update_machine(
        &self,
        key: &str,
        change: impl FnOnce(&domain::Machine) -> Result<domain::Machine, ServiceError>,
    ) -> Result<domain::Machine, ServiceError> {
        self.edit(|topology| {
            let machine = change(topology.machine(key)?)?;
            let (commit, next) = keep_machine(topology, key, &machine)?;
            Ok((commit, next, machine))
        })
        .await
    }

    pub(crate) fn machine_view(
        &self,
        topology: &Topology,
        key: &str,
        machine: &domain::Machine,
    ) -> MachineView {
        let centre = topology.centre_of(key, machine).map(|(_, server)| server);
        let purpose = centre.and_then(|server| match &server.purpose {
            Purpose::ClusterServer { multi_site, domain, site_number, cluster } => {
                Some((multi_site.clone(), domain.clone(), *site_number, cluster.clone()))
            }
            Purpose::Node { .. } => None,
        });
        let (multi_site, domain, site_number, cluster) = purpose.unwrap_or_default();
        let identity = machine.progress.identity();
        let assignment = machine.progress.assignment();
        MachineView {
            id: key.to_owned(),
            name: machine.name.clone(),
            address: machine.address.to_string(),
            kind: kind_of(machine),
            region: topology.multi_sites.get(&multi_site).map(|site| site.region.clone()).unwrap_or_default(),
            multi_site,
            cs: machine.cluster_server().map(str::to_owned),
            cluster: cluster.map(String::from),
            link_address: machine.link_address.as_ref().map(ToString::to_string),
            domain: machine.is_cluster_server().then_some(domain),
            site_number,
            postal_address: machine.postal_address.clone(),
            information: machine.information.clone(),
            comment: machine.comment.clone(),
            progress: progress_of(machine),
            next: next_of(machine, centre).to_owned(),
            fingerprint: machine.progress.fingerprint().map(str::to_owned),
            release: identity.map(|found| found.release.to_string()),
            hardware_type: identity.map(|found| found.hardware_type.to_string()),
            dongle_id: identity.map(|found| found.dongle_id.to_string()),
            clock_offset_ms: identity.map(|found| found.clock_offset_ms),
            node_number: assignment.map(|assignment| assignment.number.get()),
            generation: assignment.map_or(0, |assignment| assignment.generation),
            live: machine.progress.fingerprint().map(|_| self.sights().live(key)),
        }
    }
}

/// Cluster server or node.
pub(crate) fn kind_of(machine: &domain::Machine) -> MachineKind {
    if machine.is_cluster_server() { MachineKind::ClusterServer } else { MachineKind::Node }
}

/// How far the deployment of a machine is.
pub(crate) fn progress_of(machine: &domain::Machine) -> Progress {
    match machine.progress {
        domain::Progress::Created => Progress::Created,
        domain::Progress::Claimed { .. } => Progress::Claimed,
        domain::Progress::Identified { .. } => Progress::Identified,
        domain::Progress::Configuring { .. } => Progress::Configuring,
        domain::Progress::Configured { .. } => Progress::Configured,
    }
}

fn next_of(machine: &domain::Machine, centre: Option<&domain::Machine>) -> &'static str {
    let centre_far_enough =
        |enough: fn(&domain::Progress) -> bool| centre.is_some_and(|server| enough(&server.progress));
    match machine.progress {
        domain::Progress::Created => "claim it with the code it shows on its console",
        domain::Progress::Claimed { .. }
            if machine.is_cluster_server() || centre_far_enough(|progress| progress.identity().is_some()) =>
        {
            "identify it"
        }
        domain::Progress::Claimed { .. } => "identify its cluster server first",
        domain::Progress::Identified { .. }
            if machine.is_cluster_server() || centre_far_enough(domain::Progress::is_configured) =>
        {
            "configure it"
        }
        domain::Progress::Identified { .. } => "configure its cluster server first",
        domain::Progress::Configuring { .. } => "configure it again: the last run did not end",
        domain::Progress::Configured { .. } => "",
    }
}

fn region_view(key: &str, region: &domain::Region) -> RegionView {
    RegionView { id: key.to_owned(), name: region.name.clone(), comment: region.comment.clone() }
}

fn multi_site_view(key: &str, site: &domain::MultiSite) -> MultiSiteView {
    MultiSiteView {
        id: key.to_owned(),
        name: site.name.clone(),
        region: site.region.clone(),
        comment: site.comment.clone(),
    }
}

/// What an operator does to the topology, as the operations log tells it.
struct Deed<'a> {
    verb: &'static str,
    subject: &'a str,
    told: String,
}

/// A planned edit: what is written, the topology afterwards, and the answer.
type Planned<T> = Result<(Commit, Topology, T), ServiceError>;

/// Writes one thing into its table.
fn keep<T: Object + Clone>(
    topology: &Topology,
    key: &str,
    thing: &T,
    table: fn(&mut Topology) -> &mut BTreeMap<String, T>,
) -> Result<(Commit, Topology), ServiceError> {
    let commit = Commit::new().put(T::KIND, key, thing.to_json()?);
    let mut next = topology.clone();
    table(&mut next).insert(key.to_owned(), thing.clone());
    Ok((commit, next))
}

fn keep_region(topology: &Topology, key: String, request: &RegionRequest) -> Planned<RegionView> {
    let region = domain::Region { name: request.name.trim().to_owned(), comment: request.comment.clone() };
    region.validate(&key)?;
    deploy::check_name(&key, &region.name, named(&topology.regions, |region| &region.name))?;
    let (commit, next) = keep(topology, &key, &region, |topology| &mut topology.regions)?;
    Ok((commit, next, region_view(&key, &region)))
}

fn keep_multi_site(topology: &Topology, key: String, request: &MultiSiteRequest) -> Planned<MultiSiteView> {
    let site = domain::MultiSite {
        name: request.name.trim().to_owned(),
        region: request.region.clone(),
        comment: request.comment.clone(),
    };
    site.validate(&key)?;
    deploy::check_name(&key, &site.name, named(&topology.multi_sites, |site| &site.name))?;
    topology.region(&site.region)?;
    let (commit, next) = keep(topology, &key, &site, |topology| &mut topology.multi_sites)?;
    Ok((commit, next, multi_site_view(&key, &site)))
}

fn keep_machine(
    topology: &Topology,
    key: &str,
    machine: &domain::Machine,
) -> Result<(Commit, Topology), ServiceError> {
    keep(topology, key, machine, |topology| &mut topology.machines)
}

/// What is still used is not deleted.
fn refuse_used(kind: &'static str, key: &str, count: usize, what: &'static str) -> Result<(), ServiceError> {
    match count {
        0 => Ok(()),
        _ => Err(ServiceError::InUse { kind, key: key.to_owned(), count, what }),
    }
}

/// Keys and names of things of one sort.
fn named<T>(
    things: &BTreeMap<String, T>,
    name: impl Fn(&T) -> &String,
) -> impl Iterator<Item = (&str, &str)> {
    things.iter().map(move |(key, thing)| (key.as_str(), name(thing).as_str()))
}

fn new_machine(
    topology: &Topology,
    key: &str,
    request: &MachineCreate,
) -> Result<domain::Machine, ServiceError> {
    if request.name.trim().is_empty() {
        return Err(field("name", "a name is compulsory"));
    }
    let purpose = match request.kind {
        MachineKind::ClusterServer => Purpose::ClusterServer {
            multi_site: request.multi_site.clone().unwrap_or_default(),
            domain: request.domain.clone().unwrap_or_else(|| DOMAIN.to_owned()),
            site_number: request.site_number.unwrap_or(SITE_NUMBER),
            cluster: None,
        },
        MachineKind::Node => Purpose::Node { cluster_server: request.cs.clone().unwrap_or_default() },
    };
    let machine = domain::Machine {
        name: request.name.trim().to_owned(),
        address: web_address(&request.address)?,
        purpose,
        link_address: link_address(request.link_address.as_deref())?,
        postal_address: request.postal_address.clone(),
        information: request.information.clone(),
        comment: request.comment.clone(),
        progress: domain::Progress::Created,
    };
    machine.validate(key)?;
    match &machine.purpose {
        Purpose::ClusterServer { multi_site, .. } => topology.multi_site(multi_site).map(|_| ())?,
        Purpose::Node { cluster_server } => {
            let server = topology.machine(cluster_server).ok().filter(|server| server.is_cluster_server());
            server.ok_or_else(|| missing("cluster server", cluster_server))?;
        }
    }
    deploy::check_name(key, &machine.name, named(&topology.machines, |machine| &machine.name))?;
    deploy::check_address(None, &machine.address, topology.by_key())?;
    Ok(machine)
}

fn apply(machine: &mut domain::Machine, edit: &MachineEdit) -> Result<(), ServiceError> {
    if let Some(name) = &edit.name {
        machine.name = name.trim().to_owned();
    }
    if let Some(address) = &edit.address {
        machine.address = web_address(address)?;
    }
    if edit.link_address.is_some() {
        machine.link_address = link_address(edit.link_address.as_deref())?;
    }
    let texts = [
        (&mut machine.postal_address, &edit.postal_address),
        (&mut machine.information, &edit.information),
        (&mut machine.comment, &edit.comment),
    ];
    for (text, new) in texts {
        if let Some(new) = new {
            text.clone_from(new);
        }
    }
    Ok(())
}

fn web_address(text: &str) -> Result<HostPort, ServiceError> {
    if text.trim().is_empty() {
        return Err(field("address", "the address of the machine's web administration is compulsory"));
    }
    HostPort::parse(text, WEB_PORT).map_err(|fault| field("address", fault.to_string()))
}

fn link_address(text: Option<&str>) -> Result<Option<HostPort>, ServiceError> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => HostPort::parse(text, LINK_PORT)
            .map(Some)
            .map_err(|fault| field("link_address", fault.to_string())),
    }
}

fn field(field: &'static str, reason: impl Into<String>) -> ServiceError {
    ServiceError::Field { field, reason: reason.into() }
}
