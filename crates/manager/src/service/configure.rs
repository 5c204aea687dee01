//! The configuration of a machine, step by step (DCS-18..21, DEP-28..36): the plan is
//! [`model::deploy::plan`], each step one function here and one entry of the operations log.
//!
//! A step that fails stops the run and names the next thing to do. Running it again continues: the number, the
//! cluster and its authority are kept, the rest is written anew. Each run has a generation; a run that finds
//! another generation has been overtaken and writes nothing more.
//!
//! A run goes on when the operator's connection breaks: it is a task of its own.

use super::error::ServiceError;
use super::journal::Told;
use super::{Heard, Service, Turn, administrator};
use crate::authority;
use crate::machine::Machine;
use crate::machine::wire::{Cluster, NodeSight, RoleRequest, State};
use crate::view::{Deployment, StepReport};
use model::deploy::{self, Refusal, RoleFacts, Step};
use model::object::Node;
use model::topology::{self as domain, Assignment, Progress, Purpose, cluster_id_of_name};
use model::{ClusterId, DongleId, Kind, MemberNumber};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use web::{ApiError, Principal};

/// How long a machine may take to come back and announce itself after its role was written.
const ANNOUNCEMENT_DEADLINE: Duration = Duration::from_secs(30);
/// How long a node may take to connect and synchronise.
const SYNCHRONISED_DEADLINE: Duration = Duration::from_secs(45);
/// How often the cluster server is asked meanwhile.
const ASK_PERIOD: Duration = Duration::from_millis(200);

impl Service {
    /// Gives an identified machine its role, and waits until it is in service.
    ///
    /// # Errors
    /// See [`ServiceError`]; the operations log has each step.
    pub async fn configure(
        &self,
        who: &Principal,
        key: &str,
        force: bool,
    ) -> Result<Deployment, ServiceError> {
        administrator(who)?;
        let run = Run::prepare(self, &who.user, key, force)?;
        match tokio::spawn(run.go()).await {
            Ok(result) => result,
            Err(_) => Err(ServiceError::Ours(ApiError::internal("the configuration ended early"))),
        }
    }
}

/// One run of a configuration: what it knows grows with its steps.
struct Run {
    service: Service,
    who: String,
    key: String,
    force: bool,
    first_time: bool,
    target: domain::Machine,
    machine: Machine,
    /// The cluster server: key, machine, connection. The target itself when that is what is configured.
    centre: (String, domain::Machine, Machine),
    announcements: broadcast::Receiver<Arc<Heard>>,
    certificate_pem: String,
    authority_pem: String,
    sip_certificate_pem: String,
    admin_password: Option<String>,
    steps: Vec<StepReport>,
    _turn: Turn,
}

impl Run {
    fn prepare(service: &Service, who: &str, key: &str, force: bool) -> Result<Run, ServiceError> {
        let turn = service.take_turn(key)?;
        let topology = service.snapshot();
        let target = topology.machine(key)?.clone();
        let machine = service.connect(key, &target)?;
        let centre = match topology.centre_of(key, &target) {
            Some((centre, server)) => match service.connect(centre, server) {
                Ok(connection) => (centre.to_owned(), server.clone(), connection),
                Err(_) => return Err(cluster_server_first(centre)),
            },
            None => return Err(cluster_server_first(target.cluster_server().unwrap_or_default())),
        };
        Ok(Run {
            service: service.clone(),
            who: who.to_owned(),
            key: key.to_owned(),
            force,
            first_time: !target.progress.is_configured(),
            target,
            machine,
            centre,
            announcements: service.announcements().listen(),
            certificate_pem: String::new(),
            authority_pem: String::new(),
            sip_certificate_pem: String::new(),
            admin_password: None,
            steps: Vec::new(),
            _turn: turn,
        })
    }

    async fn go(mut self) -> Result<Deployment, ServiceError> {
        for step in deploy::plan(&self.target) {
            self.take(*step).await?;
        }
        self.finish().await?;
        let machine = self.service.machine_of(&self.key)?;
        let Run { steps, admin_password, .. } = self;
        Ok(Deployment { machine, steps, warnings: Vec::new(), admin_password })
    }

    /// One step, logged.
    async fn take(&mut self, step: Step) -> Result<(), ServiceError> {
        let journal = self.service.journal().clone();
        let (who, key, what) = (self.who.clone(), self.key.clone(), format!("configure: {}", step.name()));
        let work = async {
            match self.perform(step).await {
                Ok(detail) => Ok(Told::new((), detail)),
                Err(source) => {
                    let (step, next) = (step.name(), step.next_when_failed());
                    Err(ServiceError::Step { step, next, source: Box::new(source) })
                }
            }
        };
        let (done, report) = journal.record(&who, &what, &key, work).await;
        self.steps.extend(report);
        done
    }

    async fn perform(&mut self, step: Step) -> Result<String, ServiceError> {
        match step {
            Step::Check => self.check().await,
            Step::Number if self.target.is_cluster_server() => self.name_cluster().await,
            Step::Number => self.choose_number().await,
            Step::Authority => self.make_authority().await,
            Step::NodeRecord => self.write_node_record().await,
            Step::Certificate => self.certify().await,
            Step::Role => self.write_role().await,
            Step::Announcement => self.await_announcement().await,
            Step::Synchronised => self.await_synchronised().await,
        }
    }

    /// DEP-27, DEP-28, DCS-21: the rules, on what the machine says now.
    async fn check(&mut self) -> Result<String, ServiceError> {
        let (state, offset_ms) = self.machine.state().await?;
        let own = self.centre.1.cluster().map(ClusterId::as_str);
        let topology = self.service.snapshot();
        deploy::check_role(&self.target, &facts(&state), own, self.force, topology.by_key())?;
        deploy::check_clock(offset_ms)?;
        Ok(format!(
            "{}, {} subscribers, {} calls up, clock {offset_ms} ms off",
            state.role, state.subscribers, state.calls
        ))
    }

    /// The cluster's identity is fixed before anything is written of it.
    async fn name_cluster(&mut self) -> Result<String, ServiceError> {
        let random = web::secret::random::<4>().map_err(ServiceError::Ours)?;
        let fresh = cluster_id_of_name(&self.target.name, random)
            .map_err(|fault| ServiceError::Ours(ApiError::internal(fault.to_string())))?;
        let id = self.target.cluster().cloned().unwrap_or(fresh);
        let chosen = id.clone();
        self.begin(MemberNumber::CLUSTER_SERVER, |purpose| {
            if let Purpose::ClusterServer { cluster, .. } = purpose {
                *cluster = Some(chosen);
            }
        })
        .await?;
        self.centre.1 = self.target.clone();
        Ok(format!("cluster {id}"))
    }

    /// DEP-30: the manager chooses, the lowest that is free here and at the cluster server.
    async fn choose_number(&mut self) -> Result<String, ServiceError> {
        let identity = self.target.progress.identity().ok_or(Refusal::TooEarly { needed: "identified" })?;
        let own = identity.dongle_id.clone();
        let number = match self.target.progress.assignment() {
            Some(assignment) => assignment.number,
            None => self.free_number(&own).await?,
        };
        self.begin(number, |_| {}).await?;
        Ok(format!("node number {number}"))
    }

    async fn free_number(&self, own: &DongleId) -> Result<MemberNumber, ServiceError> {
        let recorded = self.node_records().await?;
        // A record of this very machine is from a run that was not finished, or a topology that was lost.
        if let Some((number, _)) = recorded.iter().find(|(_, node)| node.dongle_id == *own) {
            return Ok(*number);
        }
        let topology = self.service.snapshot();
        let assigned: Vec<MemberNumber> = topology
            .nodes_of(&self.centre.0)
            .filter_map(|(_, node)| node.progress.assignment())
            .map(|assignment| assignment.number)
            .chain(recorded.into_keys())
            .collect();
        Ok(deploy::choose_number(assigned.into_iter())?)
    }

    async fn node_records(&self) -> Result<BTreeMap<MemberNumber, Node>, ServiceError> {
        let path = format!("/api/v1/objects/{}", Kind::Node);
        let listed: serde_json::Value = self.centre.2.client().get(&path).await?;
        Ok(super::objects::listed::<Node>(&listed)
            .filter_map(|(key, node)| Some((key.parse().ok()?, node)))
            .collect())
    }

    /// Stores what this run decided, under its generation.
    async fn begin(
        &mut self,
        number: MemberNumber,
        set: impl FnOnce(&mut Purpose),
    ) -> Result<(), ServiceError> {
        let key = self.key.clone();
        self.target = self
            .service
            .update_machine(&self.key, |machine| {
                let (fingerprint, identity) = known(&key, machine)?;
                let generation = machine.progress.assignment().map_or(0, |a| a.generation).saturating_add(1);
                let mut next = machine.clone();
                set(&mut next.purpose);
                let assignment = Assignment { number, generation };
                next.progress = Progress::Configuring { fingerprint, identity, assignment };
                Ok(next)
            })
            .await?;
        Ok(())
    }

    async fn make_authority(&mut self) -> Result<String, ServiceError> {
        let cluster = self.cluster()?;
        if self.service.vault().authority(&cluster)?.is_some() {
            return Ok("the cluster has its authority".to_owned());
        }
        let secret = authority::create(&cluster, jiff::Timestamp::now())?;
        self.service.vault().keep_authority(&cluster, &secret)?;
        Ok(format!("made, valid for {} days", authority::AUTHORITY_DAYS))
    }

    /// DEP-29: number and dongle id are bound at the cluster server before the node knows its number.
    async fn write_node_record(&mut self) -> Result<String, ServiceError> {
        let assignment = self.assignment()?;
        let identity = self.target.progress.identity().ok_or(Refusal::TooEarly { needed: "identified" })?;
        let node = Node { name: self.target.name.clone(), dongle_id: identity.dongle_id.clone() };
        let path = format!("/api/v1/objects/{}/{}", Kind::Node, assignment.number);
        let _written: serde_json::Value = self.centre.2.client().put(&path, &node).await?;
        Ok(format!("number {} bound to {} at '{}'", assignment.number, node.dongle_id, self.centre.0))
    }

    async fn certify(&mut self) -> Result<String, ServiceError> {
        let (cluster, assignment) = (self.cluster()?, self.assignment()?);
        let host = cluster.member_host(assignment.number);
        let authority = self.service.vault().authority(&cluster)?.ok_or_else(|| {
            ServiceError::Ours(ApiError::internal(format!(
                "the authority of {cluster} is missing from the vault"
            )))
        })?;
        let asked = self.machine.csr(&host).await?;
        let (csr, now) = (&asked.csr_pem, jiff::Timestamp::now());
        self.certificate_pem = authority::sign(&authority, &cluster, assignment.number, csr, now)?;
        let domain = self.cluster_wire()?.domain;
        let reached_by = reached_by(&self.target, &asked.addresses);
        self.sip_certificate_pem = authority::sign_sip(&authority, &domain, &reached_by, csr, now)?;
        self.authority_pem = authority.certificate_pem;
        let phones = format!("{domain} {}", reached_by.join(" "));
        Ok(format!("{host}; for phones {phones}; valid for {} days", authority::MEMBER_DAYS))
    }

    /// DCS-19, DEP-32, DEP-33.
    async fn write_role(&mut self) -> Result<String, ServiceError> {
        self.still_current()?;
        let assignment = self.assignment()?;
        if self.first_time {
            self.admin_password = Some(web::secret::password().map_err(ServiceError::Ours)?);
        }
        // Whatever was announced before the role was written is not the answer to it.
        self.announcements = self.service.announcements().listen();
        let is_node = !self.target.is_cluster_server();
        let listening = if is_node { self.centre.2.state().await?.0.link_port } else { None };
        let cs_address = self.centre.1.link_address_for(&self.target, listening).to_string();
        let request = RoleRequest {
            role: if is_node { "node" } else { "cluster-server" },
            cluster: Some(self.cluster_wire()?),
            node_number: is_node.then_some(assignment.number.get()),
            cs_address: is_node.then(|| cs_address.clone()),
            certificate_pem: Some(self.certificate_pem.clone()),
            authority_pem: Some(self.authority_pem.clone()),
            sip_certificate_pem: Some(self.sip_certificate_pem.clone()),
            admin_password: self.admin_password.clone(),
            force: self.force,
        };
        self.machine.set_role(&request).await?;
        if is_node {
            Ok(format!("node {}, dials {cs_address}", assignment.number))
        } else {
            Ok(request.role.to_owned())
        }
    }

    /// DEP-35.
    async fn await_announcement(&mut self) -> Result<String, ServiceError> {
        let expected = if self.target.is_cluster_server() { "cluster-server" } else { "node" };
        let number = self.assignment()?.number.get();
        let deadline = tokio::time::Instant::now() + ANNOUNCEMENT_DEADLINE;
        let mut seen = "nothing was heard of the machine".to_owned();
        loop {
            let heard = match tokio::time::timeout_at(deadline, self.announcements.recv()).await {
                Ok(Ok(heard)) => heard,
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => continue,
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => {
                    let seconds = ANNOUNCEMENT_DEADLINE.as_secs();
                    return Err(ServiceError::Deadline { what: "the announcement", seconds, seen });
                }
            };
            if heard.machine != self.key {
                continue;
            }
            if heard.said.role == expected && heard.said.node_number.unwrap_or(0) == number {
                return Ok(format!(
                    "{} {}, release {}",
                    heard.said.event, heard.said.role, heard.said.release
                ));
            }
            seen =
                format!("it announced itself as {} {}", heard.said.role, heard.said.node_number.unwrap_or(0));
        }
    }

    /// DEP-36: connected and synchronised, as the cluster server sees it.
    async fn await_synchronised(&mut self) -> Result<String, ServiceError> {
        let number = self.assignment()?.number.get();
        let deadline = tokio::time::Instant::now() + SYNCHRONISED_DEADLINE;
        loop {
            let seen = match self.centre.2.state().await {
                Ok((state, _)) => match state.nodes.iter().find(|node| node.number == number) {
                    Some(node) if is_synchronised(node) => {
                        return Ok(format!(
                            "connected and synchronised at revision {}",
                            state.position.revision
                        ));
                    }
                    Some(node) => format!("the cluster server sees it {}", node.state),
                    None => "the cluster server does not see it".to_owned(),
                },
                Err(fault) => fault.to_string(),
            };
            if tokio::time::Instant::now() >= deadline {
                let seconds = SYNCHRONISED_DEADLINE.as_secs();
                return Err(ServiceError::Deadline { what: "the synchronisation", seconds, seen });
            }
            tokio::time::sleep(ASK_PERIOD).await;
        }
    }

    async fn finish(&mut self) -> Result<(), ServiceError> {
        let (key, assignment) = (self.key.clone(), self.assignment()?);
        self.service
            .update_machine(&self.key, |machine| {
                let (fingerprint, identity) = known(&key, machine)?;
                check_generation(&key, machine, assignment)?;
                Ok(domain::Machine {
                    progress: Progress::Configured { fingerprint, identity, assignment },
                    ..machine.clone()
                })
            })
            .await?;
        Ok(())
    }

    fn still_current(&self) -> Result<(), ServiceError> {
        let topology = self.service.snapshot();
        check_generation(&self.key, topology.machine(&self.key)?, self.assignment()?)
    }

    fn assignment(&self) -> Result<Assignment, ServiceError> {
        self.target.progress.assignment().ok_or_else(|| ServiceError::OutOfDate { key: self.key.clone() })
    }

    fn cluster(&self) -> Result<ClusterId, ServiceError> {
        self.centre.1.cluster().cloned().ok_or_else(|| cluster_server_first(&self.centre.0))
    }

    fn cluster_wire(&self) -> Result<Cluster, ServiceError> {
        match &self.centre.1.purpose {
            Purpose::ClusterServer { domain, site_number, cluster: Some(id), .. } => Ok(Cluster {
                id: id.to_string(),
                name: self.centre.1.name.clone(),
                domain: domain.clone(),
                site_number: *site_number,
            }),
            Purpose::ClusterServer { .. } | Purpose::Node { .. } => Err(cluster_server_first(&self.centre.0)),
        }
    }
}

/// How phones reach a machine: as the operator does, and by what it says of itself.
fn reached_by(machine: &domain::Machine, addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec![machine.address.host.clone()];
    for address in addresses.iter().map(ToString::to_string) {
        if !names.contains(&address) {
            names.push(address);
        }
    }
    names
}

fn cluster_server_first(key: &str) -> ServiceError {
    Refusal::ClusterServerFirst { cluster_server: key.to_owned(), needed: "configured" }.into()
}

fn check_generation(key: &str, machine: &domain::Machine, mine: Assignment) -> Result<(), ServiceError> {
    match machine.progress.assignment() {
        Some(now) if now == mine => Ok(()),
        _ => Err(ServiceError::OutOfDate { key: key.to_owned() }),
    }
}

fn known(key: &str, machine: &domain::Machine) -> Result<(String, domain::Identified), ServiceError> {
    match (machine.progress.fingerprint(), machine.progress.identity()) {
        (Some(fingerprint), Some(identity)) => Ok((fingerprint.to_owned(), identity.clone())),
        _ => Err(ServiceError::OutOfDate { key: key.to_owned() }),
    }
}

fn is_synchronised(node: &NodeSight) -> bool {
    node.state == "connected" && node.digest_equal != Some(false) && node.lag.unwrap_or(0) == 0
}

fn facts(state: &State) -> RoleFacts {
    RoleFacts {
        dongle_id: state.dongle_id.clone(),
        role: state.role.clone(),
        cluster: state.cluster.as_ref().map(|cluster| cluster.id.clone()),
        subscribers: state.subscribers,
        general_purpose_only: state.general_purpose_only,
        calls: state.calls,
    }
}
