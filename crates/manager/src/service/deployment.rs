//! Claim, identify, delete: the acts around a machine's configuration (DCS-14..17, DEP-25..27, PRE-14). The
//! configuration itself is in [`super::configure`].

use super::error::ServiceError;
use super::journal::Told;
use super::state::Topology;
use super::{Service, administrator};
use crate::machine::wire::{Identity, RoleRequest};
use crate::machine::{self, MachineError};
use crate::view::{Deployment, MachineView, StepReport};
use model::Kind;
use model::deploy::{self, Refusal, Warning};
use model::topology::{Identified, Machine, Progress};
use store::Commit;
use web::{ClientError, Principal};

impl Service {
    /// Claims a machine with the code it shows: its certificate is pinned, and it obeys this manager only.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn claim(&self, who: &Principal, key: &str, code: &str) -> Result<Deployment, ServiceError> {
        administrator(who)?;
        let _turn = self.take_turn(key)?;
        let (done, report) =
            self.journal().record(&who.user, "claim", key, self.do_claim(key, code.trim())).await;
        Ok(deployment(done?, report, Vec::new()))
    }

    async fn do_claim(&self, key: &str, code: &str) -> Result<Told<MachineView>, ServiceError> {
        let target = self.snapshot().machine(key)?.clone();
        if target.progress.fingerprint().is_some() && self.vault().machine(key)?.is_some() {
            return Ok(Told::new(self.machine_of(key)?, "already claimed by this manager"));
        }
        let look = machine::look(&target.address).await?;
        if look.identity.claimed {
            return Err(Refusal::ClaimedElsewhere.into());
        }
        let nonce = web::secret::token().map_err(ServiceError::Ours)?;
        let secret = machine::claim(&target.address, &look, code, &nonce, self.contact().clone()).await?;
        self.vault().keep_machine(key, &secret)?;
        self.disconnect(key);
        self.announcements().know(key, &secret.announce_token);
        let fingerprint = look.fingerprint.to_string();
        let pinned = fingerprint.clone();
        self.update_machine(key, |machine| {
            Ok(Machine { progress: Progress::Claimed { fingerprint: pinned }, ..machine.clone() })
        })
        .await?;
        Ok(Told::new(self.machine_of(key)?, format!("claimed; certificate {fingerprint}")))
    }

    /// Reads a machine's identity and checks that it can be what it is to become.
    ///
    /// # Errors
    /// See [`ServiceError`]; a refusal leaves the machine as it was.
    pub async fn identify(&self, who: &Principal, key: &str) -> Result<Deployment, ServiceError> {
        administrator(who)?;
        let _turn = self.take_turn(key)?;
        let (done, report) = self.journal().record(&who.user, "identify", key, self.do_identify(key)).await;
        let (view, warning) = done?;
        Ok(deployment(view, report, warning.iter().map(ToString::to_string).collect()))
    }

    async fn do_identify(&self, key: &str) -> Result<Told<(MachineView, Option<Warning>)>, ServiceError> {
        // DEP-27 first: a node whose cluster server is not identified is not even asked.
        let topology = self.snapshot();
        let target = topology.machine(key)?;
        deploy::check_cluster_server(target, topology.by_key())?;
        let (identity, offset) = self.connect(key, target)?.identity().await?;
        let found = identified(&identity, offset);
        let warning = deploy::check_identity(key, target, &found, topology.by_key())?;
        let detail = format!(
            "release {}, hardware type {}, dongle id {}, clock {} ms off",
            found.release, found.hardware_type, found.dongle_id, found.clock_offset_ms
        );
        self.update_machine(key, |machine| keep_identity(key, machine, found)).await?;
        Ok(Told::new((self.machine_of(key)?, warning), detail))
    }

    /// Takes a machine out of the topology. A node's number is taken away at its cluster server first, so its
    /// identity is refused from then on even when the machine itself cannot be reached; then it is reset.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn delete_machine(&self, who: &Principal, key: &str) -> Result<(), ServiceError> {
        administrator(who)?;
        let _turn = self.take_turn(key)?;
        let topology = self.snapshot();
        let target = topology.machine(key)?.clone();
        let nodes = topology.nodes_of(key).count();
        let work = async {
            if nodes > 0 {
                return Err(Refusal::HasNodes { cluster_server: key.to_owned(), nodes }.into());
            }
            self.withdraw_number(&topology, key, &target).await?;
            let reset = self.reset(key, &target).await;
            self.forget(key, &target).await?;
            Ok(Told::new((), format!("deleted; {reset}")))
        };
        self.journal().record(&who.user, "delete machine", key, work).await.0
    }

    async fn withdraw_number(
        &self,
        topology: &Topology,
        key: &str,
        node: &Machine,
    ) -> Result<(), ServiceError> {
        let (Some(assignment), Some(_)) = (node.progress.assignment(), node.cluster_server()) else {
            return Ok(());
        };
        let Some((centre, server)) = topology.centre_of(key, node) else { return Ok(()) };
        let path = format!("/api/v1/objects/{}/{}", Kind::Node, assignment.number);
        match self.connect(centre, server)?.client().delete::<serde_json::Value>(&path).await {
            Ok(_) => Ok(()),
            Err(ClientError::Refused(refusal)) if refusal.status == axum::http::StatusCode::NOT_FOUND => {
                Ok(())
            }
            Err(fault) => Err(ServiceError::Step {
                step: "node-record",
                next: "bring the cluster server back first: it must refuse the node from now on",
                source: Box::new(fault.into()),
            }),
        }
    }

    /// Makes a machine independent again, if it can be reached.
    async fn reset(&self, key: &str, target: &Machine) -> String {
        let Ok(machine) = self.connect(key, target) else {
            return "it was never claimed".to_owned();
        };
        let request = RoleRequest { role: "independent", force: true, ..RoleRequest::default() };
        let release = async {
            if target.progress.assignment().is_some() {
                machine.set_role(&request).await?;
            }
            machine.client().post::<_, serde_json::Value>("/api/v1/release", &()).await
        };
        match release.await {
            Ok(_) => "the machine was reset and may be claimed again".to_owned(),
            Err(fault) => {
                format!("the machine could not be reset ({fault}): do a TOTAL start at its console")
            }
        }
    }

    async fn forget(&self, key: &str, target: &Machine) -> Result<(), ServiceError> {
        self.edit(|topology| {
            topology.machine(key)?;
            let mut next = topology.clone();
            next.machines.remove(key);
            Ok((Commit::new().delete(Kind::Machine, key), next, ()))
        })
        .await?;
        self.disconnect(key);
        self.announcements().forget(key);
        self.sights().forget(key);
        self.vault().forget_machine(key)?;
        match target.cluster() {
            Some(cluster) => Ok(self.vault().forget_authority(cluster)?),
            None => Ok(()),
        }
    }
}

pub(super) fn identified(identity: &Identity, clock_offset_ms: i64) -> Identified {
    Identified {
        release: identity.release,
        hardware_type: identity.hardware_type,
        dongle_id: identity.dongle_id.clone(),
        clock_offset_ms,
    }
}

/// The machine with its new identity; what a configuration has already assigned stays.
fn keep_identity(key: &str, machine: &Machine, identity: Identified) -> Result<Machine, ServiceError> {
    let progress = match machine.progress.clone() {
        Progress::Created => return Err(ServiceError::OutOfDate { key: key.to_owned() }),
        Progress::Claimed { fingerprint } | Progress::Identified { fingerprint, .. } => {
            Progress::Identified { fingerprint, identity }
        }
        Progress::Configuring { fingerprint, assignment, .. } => {
            Progress::Configuring { fingerprint, identity, assignment }
        }
        Progress::Configured { fingerprint, assignment, .. } => {
            Progress::Configured { fingerprint, identity, assignment }
        }
    };
    Ok(Machine { progress, ..machine.clone() })
}

pub(super) fn deployment(
    machine: MachineView,
    report: Option<StepReport>,
    warnings: Vec<String>,
) -> Deployment {
    Deployment { machine, steps: report.into_iter().collect(), warnings, admin_password: None }
}

impl From<MachineError> for Box<ServiceError> {
    fn from(fault: MachineError) -> Box<ServiceError> {
        Box::new(fault.into())
    }
}
