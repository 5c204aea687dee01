//! Deployment by the manager's API against real `pleiad manager` and `pleiad ipbx` processes: the whole way, and
//! each refusal with the machine left as it was.
//!
//! Every test has loopback addresses of its own (127.71.TEST.HOST), so that all machines keep their fixed ports.

use anyhow::{Context, bail};
use manager::client::{Client, ClientError, Wire};
use manager::view::{
    Deployment, MachineCreate, MachineView, MultiSiteRequest, OperationOutcome, Progress, RegionRequest,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use testkit::live::eventually;
use testkit::live::process::{Process, pleiad_binary};

/// How long a process may take to listen, on a machine busy with other tests.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long a node may take to be connected again.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

static TESTS: AtomicU8 = AtomicU8::new(1);

/// A manager and its bare machines, in one folder.
struct Site {
    folder: tempfile::TempDir,
    test: u8,
    processes: BTreeMap<String, Process>,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Site {
    /// A manager with a region and a multi-site, and an operator at it.
    fn new() -> anyhow::Result<Site> {
        let folder = tempfile::Builder::new().prefix("pleiad-deploy-").tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let dir = folder.path().join("mgr");
        let config = folder.path().join("mgr.toml");
        let address = format!("127.71.{test}.1:7443");
        std::fs::write(&config, format!("dir = {dir:?}\nbind = \"{address}\"\n"))?;
        let process = start("manager", &config)?;
        listening(&address)?;
        let fingerprint = std::fs::read_to_string(dir.join("fingerprint"))?.trim().parse()?;
        let login = std::fs::read_to_string(dir.join("manager.txt"))?;
        let (user, password) = login.trim().split_once(' ').context("manager.txt")?;
        let mut client = Client::new(&address, fingerprint)?;
        runtime.block_on(async {
            client.login(user, password).await?;
            client.create_region(&RegionRequest { name: "Test".to_owned(), comment: String::new() }).await?;
            let site = MultiSiteRequest {
                name: "Site".to_owned(),
                region: "test".to_owned(),
                comment: String::new(),
            };
            client.create_multi_site(&site).await
        })?;
        Ok(Site { folder, test, processes: BTreeMap::from([("mgr".to_owned(), process)]), runtime, client })
    }

    /// With the cluster server `cs` in service.
    fn with_cluster() -> anyhow::Result<Site> {
        let mut site = Site::new()?;
        site.bare("cs", 2, "")?;
        site.add("cs", 2)?;
        site.claim("cs")?;
        site.identify("cs")?;
        site.configure("cs")?;
        Ok(site)
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, host: u8) -> String {
        format!("127.71.{}.{host}:7501", self.test)
    }

    /// Starts a bare machine (or one that was stopped) with these further settings.
    fn bare(&mut self, name: &str, host: u8, settings: &str) -> anyhow::Result<()> {
        let config = self.folder.path().join(format!("{name}.toml"));
        let (dir, test) = (self.dir(name), self.test);
        let text = format!("dir = {dir:?}\nname = \"{name}\"\nbind = \"127.71.{test}.{host}\"\n{settings}\n");
        std::fs::write(&config, text)?;
        self.processes.insert(name.to_owned(), start("ipbx", &config)?);
        listening(&self.address(host))
    }

    fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.processes.remove(name).context("no such process")?.kill()
    }

    /// Puts a machine into the topology: `cs` as cluster server, all others as its nodes.
    fn add(&self, name: &str, host: u8) -> anyhow::Result<MachineView> {
        let address = self.address(host);
        let request = match name {
            "cs" => MachineCreate::cluster_server(name, &address, "site"),
            _ => MachineCreate::node(name, &address, "cs"),
        };
        Ok(self.runtime.block_on(self.client.create_machine(&request))?)
    }

    /// Claims a machine with the code its console shows.
    fn claim(&self, name: &str) -> anyhow::Result<()> {
        let code = std::fs::read_to_string(self.dir(name).join("claim-code"))?;
        self.runtime.block_on(self.client.claim(name, code.trim()))?;
        Ok(())
    }

    fn identify(&self, name: &str) -> Result<Deployment, ClientError> {
        self.runtime.block_on(self.client.identify(name))
    }

    fn configure(&self, name: &str) -> Result<Deployment, ClientError> {
        self.runtime.block_on(self.client.configure(name, false))
    }

    fn view(&self, name: &str) -> anyhow::Result<MachineView> {
        Ok(self.runtime.block_on(self.client.machine(name))?)
    }

    fn state(&self, name: &str) -> anyhow::Result<Value> {
        Ok(self.runtime.block_on(self.client.ask(name, "state"))?)
    }

    fn objects(&self, kind: &str) -> anyhow::Result<Value> {
        Ok(self.runtime.block_on(self.client.objects("cs", kind))?)
    }

    /// The manager's own connection to a machine, with the token it keeps in its private folder: for what an
    /// administrator of that machine could do there.
    fn owner_of(&self, name: &str) -> anyhow::Result<Wire> {
        let secret = std::fs::read(self.dir("mgr").join(format!("secrets/machine-{name}.json")))?;
        let secret: Value = serde_json::from_slice(&secret)?;
        let view = self.view(name)?;
        let fingerprint = view.fingerprint.context("not claimed")?.parse()?;
        Ok(Wire::pinned(&view.address, fingerprint)?.with_token(secret["token"].as_str().context("token")?))
    }

    /// The newest entry of the log about this act.
    fn logged(&self, what: &str) -> anyhow::Result<manager::view::Operation> {
        let log = self.runtime.block_on(self.client.operations(500))?;
        log.into_iter().find(|entry| entry.what == what).with_context(|| format!("no '{what}' in the log"))
    }

    /// Waits until the cluster server sees a node in this state.
    fn wait_node(&self, number: u64, state: &str) -> anyhow::Result<()> {
        eventually(&format!("node {number} {state}"), CONNECTED_WITHIN, || {
            let view = self.state("cs")?;
            let nodes = view["nodes"].as_array().cloned().unwrap_or_default();
            Ok(nodes.iter().any(|node| node["number"] == number && node["state"] == state).then_some(()))
        })
    }
}

fn start(role: &str, config: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(pleiad_binary()?);
    command.arg(role).arg("--config").arg(config);
    Process::start(role, &mut command, &config.with_extension("log"))
}

fn listening(address: &str) -> anyhow::Result<()> {
    let at: std::net::SocketAddr = address.parse()?;
    eventually(address, UP_WITHIN, || {
        Ok(std::net::TcpStream::connect_timeout(&at, Duration::from_millis(300)).ok().map(drop))
    })
}

/// The code of a refusal.
fn code<T>(result: Result<T, ClientError>) -> anyhow::Result<String> {
    match result {
        Ok(_) => bail!("it was not refused"),
        Err(fault) => match fault.refusal() {
            Some(refusal) if refusal.next.is_some() => Ok(refusal.code.to_string()),
            Some(refusal) => bail!("'{refusal}' names no next step"),
            None => Err(fault.into()),
        },
    }
}

/// A cluster server that is refused stays claimed, independent, without a cluster.
fn refused_server(settings: &str) -> anyhow::Result<(Site, String)> {
    let mut site = Site::new()?;
    site.bare("cs", 2, settings)?;
    site.add("cs", 2)?;
    site.claim("cs")?;
    let before = site.state("cs")?;
    let refusal = code(site.identify("cs"))?;
    assert_eq!(code(site.configure("cs"))?, "too-early");
    let (view, after) = (site.view("cs")?, site.state("cs")?);
    assert_eq!((view.progress, view.release, view.cluster), (Progress::Claimed, None, None));
    for field in ["role", "cluster", "position", "digest"] {
        assert_eq!(before[field], after[field], "{field} is unchanged");
    }
    assert_eq!(site.logged("identify")?.outcome, OperationOutcome::Refused);
    Ok((site, refusal))
}

#[test]
fn dcs_16_a_machine_of_release_r5_4_is_refused_and_stays_as_it_was() -> anyhow::Result<()> {
    let (site, refusal) = refused_server("release = \"R5.4\"")?;
    assert_eq!(refusal, "release-too-low");
    assert_eq!(site.logged("identify")?.detail, "release R5.4 is below R6.1, the lowest that is supported");
    Ok(())
}

#[test]
fn dcs_17_a_gateway_is_refused_as_cluster_server_and_stays_as_it_was() -> anyhow::Result<()> {
    let (_site, refusal) = refused_server("hardware_type = \"gateway\"")?;
    assert_eq!(refusal, "wrong-hardware-type");
    Ok(())
}

#[test]
fn dcs_03_to_21_dep_23_to_36_arc_06_a_cluster_grows_from_bare_machines() -> anyhow::Result<()> {
    let mut site = Site::with_cluster()?;
    let server = site.state("cs")?;
    assert_eq!(
        (server["role"].as_str(), server["cluster"]["site_number"].as_u64()),
        (Some("cluster-server"), Some(1))
    );

    site.bare("north", 3, "hardware_type = \"gateway\"")?;
    site.add("north", 3)?;
    site.claim("north")?;
    let found = site.identify("north")?.machine;
    assert_eq!((found.release.as_deref(), found.hardware_type.as_deref()), (Some("R7.0"), Some("gateway")));
    let done = site.configure("north")?;
    assert_eq!((done.machine.progress, done.machine.node_number), (Progress::Configured, Some(1)));
    assert!(done.admin_password.is_some());
    assert_eq!(site.logged("announce")?.place, "north");

    let node = site.state("north")?;
    assert_eq!((node["role"].as_str(), node["node_number"].as_u64()), (Some("node"), Some(1)));
    assert_eq!(node["state"], "connected");
    assert_eq!(node["cluster"]["site_number"], server["cluster"]["site_number"], "ARC-22");
    let record = site.objects("node")?;
    assert!(
        record.to_string().contains(found.dongle_id.as_deref().context("dongle id")?),
        "DEP-29: {record}"
    );

    // ARC-06: the second node changes nothing at the first, and gets the next number (DEP-30).
    site.bare("south", 4, "")?;
    site.add("south", 4)?;
    site.claim("south")?;
    site.identify("south")?;
    assert_eq!(site.configure("south")?.machine.node_number, Some(2));
    site.wait_node(1, "connected")?;
    assert_eq!(site.view("north")?.generation, 1);

    // A node that is killed and started again is back by itself, with its number (DEP-29, DEP-36).
    site.kill("north")?;
    site.wait_node(1, "isolated")?;
    site.bare("north", 3, "hardware_type = \"gateway\"")?;
    site.wait_node(1, "connected")
}

#[test]
fn dep_27_a_node_is_refused_before_its_cluster_server_is_identified() -> anyhow::Result<()> {
    let mut site = Site::new()?;
    site.bare("cs", 2, "")?;
    site.bare("north", 3, "")?;
    site.add("cs", 2)?;
    site.add("north", 3)?;
    site.claim("cs")?;
    site.claim("north")?;
    assert_eq!(code(site.identify("north"))?, "cluster-server-first");
    assert_eq!(site.view("north")?.progress, Progress::Claimed);
    site.identify("cs")?;
    site.identify("north")?;
    assert_eq!(code(site.configure("north"))?, "cluster-server-first");
    assert_eq!(site.view("north")?.progress, Progress::Identified);
    assert_eq!(site.state("north")?["role"], "independent");
    Ok(())
}

#[test]
fn dep_28_a_node_with_a_subscriber_of_its_own_is_refused_and_keeps_it() -> anyhow::Result<()> {
    let mut site = Site::with_cluster()?;
    site.bare("north", 3, "")?;
    site.add("north", 3)?;
    site.claim("north")?;
    site.identify("north")?;
    let owner = site.owner_of("north")?;
    let class = json!({"description": "", "barred": []});
    let subscriber = json!({"name": "Anna", "feature_class": "own", "home": 0});
    site.runtime.block_on(async {
        owner.put::<_, Value>("/api/v1/objects/feature-class/own", &class).await?;
        owner.put::<_, Value>("/api/v1/objects/subscriber/4711", &subscriber).await
    })?;
    let before = site.state("north")?;
    assert_eq!(before["general_purpose_only"], false);

    assert_eq!(code(site.configure("north"))?, "subscribers-present");
    let entry = site.logged("configure: check")?;
    assert_eq!((entry.outcome, entry.place.as_str()), (OperationOutcome::Refused, "north"));
    let after = site.state("north")?;
    for field in ["role", "cluster", "position", "digest", "subscribers"] {
        assert_eq!(before[field], after[field], "{field} is unchanged");
    }
    assert_eq!(site.view("north")?.progress, Progress::Identified);
    assert!(!site.objects("node")?.to_string().contains("dongle_id"), "no number was given");

    site.runtime.block_on(owner.delete::<Value>("/api/v1/objects/subscriber/4711"))?;
    assert_eq!(site.configure("north")?.machine.node_number, Some(1));
    Ok(())
}

#[test]
fn dep_29_a_copy_of_a_machine_is_refused_because_its_identity_is_in_use() -> anyhow::Result<()> {
    let mut site = Site::with_cluster()?;
    site.bare("north", 3, "")?;
    site.kill("north")?;
    let copied = Command::new("cp").arg("-a").arg(site.dir("north")).arg(site.dir("twin")).status()?;
    assert!(copied.success());
    site.bare("north", 3, "")?;
    site.bare("twin", 4, "")?;
    for (name, host) in [("north", 3), ("twin", 4)] {
        site.add(name, host)?;
        site.claim(name)?;
    }
    site.identify("north")?;
    assert_eq!(code(site.identify("twin"))?, "identity-in-use");
    assert_eq!(site.view("twin")?.progress, Progress::Claimed);
    Ok(())
}

#[test]
fn a_configuration_that_cannot_reach_the_cluster_server_stops_there_and_is_finished_by_the_next()
-> anyhow::Result<()> {
    let mut site = Site::with_cluster()?;
    site.bare("north", 3, "")?;
    site.add("north", 3)?;
    site.claim("north")?;
    site.identify("north")?;
    site.kill("cs")?;
    assert_eq!(code(site.configure("north"))?, "unreachable");
    let entry = site.logged("configure: number")?;
    assert_eq!(entry.outcome, OperationOutcome::Failed);
    assert!(entry.next.contains("running"), "{}", entry.next);
    assert_eq!(site.state("north")?["role"], "independent");
    assert_eq!(site.view("north")?.progress, Progress::Identified);
    site.bare("cs", 2, "")?;
    assert_eq!(site.configure("north")?.machine.progress, Progress::Configured);
    Ok(())
}

#[test]
fn a_deleted_node_is_refused_by_its_cluster_and_a_reset_one_can_be_deployed_again() -> anyhow::Result<()> {
    let mut site = Site::with_cluster()?;
    for (name, host) in [("north", 3), ("south", 4)] {
        site.bare(name, host, "")?;
        site.add(name, host)?;
        site.claim(name)?;
        site.identify(name)?;
        site.configure(name)?;
    }
    // Deleted while it is down: it cannot be reset, but its identity is refused when it comes back.
    let owner = site.owner_of("north")?;
    site.kill("north")?;
    site.runtime.block_on(site.client.delete_machine("north"))?;
    assert!(site.logged("delete machine")?.detail.contains("TOTAL start"));
    site.bare("north", 3, "")?;
    let refused = eventually("the node to be refused", CONNECTED_WITHIN, || {
        let state: Value = site.runtime.block_on(owner.get("/api/v1/state"))?;
        Ok(state["uplink"]["fault"].as_str().map(str::to_owned))
    })?;
    assert!(!refused.is_empty());
    let nodes = site.state("cs")?["nodes"].to_string();
    assert!(!nodes.contains("north") && nodes.contains("south"), "{nodes}");

    // Deleted while it is up: it is independent, unclaimed, and may be deployed again.
    site.runtime.block_on(site.client.delete_machine("south"))?;
    site.add("south", 4)?;
    site.claim("south")?;
    site.identify("south")?;
    assert_eq!(site.configure("south")?.machine.node_number, Some(1), "the lowest that is free");
    Ok(())
}
