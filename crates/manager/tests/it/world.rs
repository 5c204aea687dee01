//! A manager in a folder of its own, and an operator at it.

use crate::impostor::{CODE, Impostor, Told};
use manager::client::{Client, ClientError};
use manager::view::{MachineCreate, MachineView, MultiSiteRequest, Operation, RegionRequest};
use manager::{Config, Manager};
use std::path::Path;

/// A manager with its operator logged in.
pub(crate) struct World {
    pub(crate) manager: Manager,
    pub(crate) client: Client,
    pub(crate) password: String,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn config(dir: &Path) -> Config {
    Config { bind: "127.0.0.1:0".parse().unwrap(), ..Config::new(dir) }
}

impl World {
    /// An empty manager.
    pub(crate) async fn empty() -> World {
        let dir = tempfile::tempdir().unwrap();
        let manager = Manager::start(&config(dir.path())).await.unwrap();
        let first = manager.first_login().unwrap().clone();
        let client = login(&manager, &first.password).await;
        World { manager, client, password: first.password, dir }
    }

    /// With the region and the multi-site `paris`.
    pub(crate) async fn with_site() -> World {
        let world = World::empty().await;
        let region = RegionRequest { name: "France".to_owned(), ..RegionRequest::default() };
        world.client.create_region(&region).await.unwrap();
        let site = MultiSiteRequest {
            name: "Paris".to_owned(),
            region: "france".to_owned(),
            ..MultiSiteRequest::default()
        };
        world.client.create_multi_site(&site).await.unwrap();
        world
    }

    /// With a configured cluster server `cs`.
    pub(crate) async fn with_cluster() -> (World, Impostor) {
        let world = World::with_site().await;
        let server = Impostor::named("AAAA-0001").await;
        world.claimed_server("CS", &server).await;
        world.client.identify("cs").await.unwrap();
        world.client.configure("cs", false).await.unwrap();
        (world, server)
    }

    /// Adds and claims a cluster server.
    pub(crate) async fn claimed_server(&self, name: &str, machine: &Impostor) -> MachineView {
        let view = self.add(MachineCreate::cluster_server(name, &machine.address, "paris")).await.unwrap();
        self.client.claim(&view.id, CODE).await.unwrap().machine
    }

    /// Adds and claims a node of `cs`.
    pub(crate) async fn claimed_node(&self, name: &str, told: Told) -> (String, Impostor) {
        let machine = Impostor::start(told).await;
        let view = self.add(MachineCreate::node(name, &machine.address, "cs")).await.unwrap();
        self.client.claim(&view.id, CODE).await.unwrap();
        (view.id, machine)
    }

    pub(crate) async fn add(&self, request: MachineCreate) -> Result<MachineView, ClientError> {
        self.client.create_machine(&request).await
    }

    /// The newest entry of the log about this act.
    pub(crate) async fn logged(&self, what: &str) -> Operation {
        let log = self.client.operations(200).await.unwrap();
        log.into_iter()
            .find(|entry| entry.what == what)
            .unwrap_or_else(|| panic!("'{what}' is not in the log"))
    }
}

pub(crate) async fn login(manager: &Manager, password: &str) -> Client {
    let mut client = Client::new(&manager.address().to_string(), manager.fingerprint()).unwrap();
    client.login("admin", password).await.unwrap();
    client
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    let fault = result.unwrap_err();
    let refusal = fault.refusal().unwrap_or_else(|| panic!("no refusal: {fault}"));
    assert!(refusal.next.is_some(), "a refusal names the next step: {refusal}");
    refusal.code.to_string()
}
