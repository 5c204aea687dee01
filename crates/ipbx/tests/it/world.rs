//! A manager's part, reduced to what machines need of it: an authority, claims, roles.

use ipbx::claim::make_proof;
use ipbx::{Config, Machine, Started};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use web::Client;

pub(crate) const CLUSTER: &str = "c-test";

/// A machine with its folder and a client of its API.
pub(crate) struct TestMachine {
    pub(crate) started: Option<Started>,
    pub(crate) api: Client,
    pub(crate) dir: TempDir,
}

/// The authority of the cluster.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn make() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, CLUSTER);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn sign(&self, csr_pem: &str, validity: Validity) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        if let Validity::Over = validity {
            request.params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            request.params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// The certificate that phones see: for the domain and the machine's addresses.
    pub(crate) fn sign_sip(&self, csr_pem: &str, domain: &str, addresses: Vec<String>) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let names = [vec![domain.to_owned()], addresses].concat();
        request.params = CertificateParams::new(names).unwrap();
        request.signed_by(&self.issuer).unwrap().pem()
    }
}

/// Which validity a certificate gets.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Usual,
    Over,
}

pub(crate) fn config(dir: &TempDir) -> Config {
    Config {
        sip_port: 0,
        sip_tls_port: 0,
        web_port: 0,
        link_port: 0,
        ..Config::with_dir(dir.path().to_owned())
    }
}

impl TestMachine {
    /// A new machine that nobody owns.
    pub(crate) async fn unclaimed() -> TestMachine {
        TestMachine::unclaimed_with(|_| {}).await
    }

    pub(crate) async fn unclaimed_with(adjust: impl FnOnce(&mut Config)) -> TestMachine {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir);
        adjust(&mut config);
        let started = Machine::start(config).await.unwrap();
        let api = client(&started);
        TestMachine { started: Some(started), api, dir }
    }

    /// A new machine that this test owns.
    pub(crate) async fn claimed() -> TestMachine {
        TestMachine::claimed_with(|_| {}).await
    }

    /// A new machine that this test owns, listening on another address than usual.
    pub(crate) async fn claimed_on(bind: std::net::IpAddr) -> TestMachine {
        TestMachine::claimed_with(|config| config.bind = bind).await
    }

    /// The same, with other settings than usual.
    pub(crate) async fn claimed_with(adjust: impl FnOnce(&mut Config)) -> TestMachine {
        let mut machine = TestMachine::unclaimed_with(adjust).await;
        let code = machine.machine().claim_code().unwrap();
        let answer = machine.claim(&code).await.unwrap();
        machine.api = machine.api.clone().with_token(answer["token"].as_str().unwrap());
        machine
    }

    pub(crate) async fn claim(&self, code: &str) -> Result<Value, web::ClientError> {
        let fingerprint = &self.machine().identity().fingerprint;
        let body = json!({
            "nonce": "n1",
            "proof": make_proof(code, "claim", fingerprint, "n1"),
            "manager": { "name": "test", "announce_url": "https://127.0.0.1:9/api/v1/announce",
                         "announce_fingerprint": "00".repeat(32) },
        });
        self.api.post("/api/v1/claim", &body).await
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.started.as_ref().unwrap().machine
    }

    pub(crate) async fn state(&self) -> Value {
        self.api.get("/api/v1/state").await.unwrap()
    }

    pub(crate) fn sip_port(&self) -> u16 {
        self.machine().running().unwrap().phones.address().port()
    }

    pub(crate) fn tls_port(&self) -> u16 {
        self.machine().running().unwrap().phones.tls_address().port()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.api.put(&format!("/api/v1/objects/{path}"), &body).await.unwrap()
    }

    /// Makes it the cluster server.
    pub(crate) async fn lead(&self, authority: &Authority) {
        self.lead_with(authority, Validity::Usual).await;
    }

    pub(crate) async fn lead_with(&self, authority: &Authority, validity: Validity) {
        let request = self.role_request(authority, json!({ "role": "cluster-server" }), "n0", validity).await;
        self.take_role(&request).await.unwrap();
    }

    /// Makes it a node of `centre`.
    pub(crate) async fn join(&self, authority: &Authority, centre: &TestMachine, number: u8) {
        let dongle = self.machine().identity().dongle_id.clone();
        centre
            .put(&format!("node/{number}"), json!({ "name": format!("node {number}"), "dongle_id": dongle }))
            .await;
        let link = centre.machine().running().unwrap().link_address.unwrap();
        let role = json!({ "role": "node", "node_number": number, "cs_address": link.to_string() });
        let request = self.role_request(authority, role, &format!("n{number}"), Validity::Usual).await;
        self.take_role(&request).await.unwrap();
    }

    pub(crate) async fn role_request(
        &self,
        authority: &Authority,
        mut role: Value,
        label: &str,
        validity: Validity,
    ) -> Value {
        let name = json!({ "common_name": format!("{label}.{CLUSTER}") });
        let csr: Value = self.api.post("/api/v1/csr", &name).await.unwrap();
        role["cluster"] = json!({ "id": CLUSTER, "name": "Test", "domain": "pleiad.test", "site_number": 1 });
        role["certificate_pem"] = json!(authority.sign(csr["csr_pem"].as_str().unwrap(), validity));
        role["authority_pem"] = json!(authority.pem);
        let addresses: Vec<String> = serde_json::from_value(csr["addresses"].clone()).unwrap();
        let for_phones = authority.sign_sip(csr["csr_pem"].as_str().unwrap(), "pleiad.test", addresses);
        role["sip_certificate_pem"] = json!(for_phones);
        role
    }

    pub(crate) async fn take_role(&self, request: &Value) -> Result<Value, web::ClientError> {
        self.api.post("/api/v1/role", request).await
    }

    /// Waits until its state satisfies `wanted`, and fails with the state otherwise.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let state = self.state().await;
            if wanted(&state) {
                return state;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "never came: {what}; the state is {state:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(mut self) {
        self.started.take().unwrap().stop(Duration::ZERO).await;
    }

    /// Ends it and starts it again in the same folder, on the same ports.
    pub(crate) async fn restart(&mut self) {
        let ports = (self.sip_port(), self.started.as_ref().unwrap().web_address().port());
        let link = self.machine().running().unwrap().link_address.map_or(0, |address| address.port());
        self.started.take().unwrap().stop(Duration::ZERO).await;
        let config = Config { sip_port: ports.0, web_port: ports.1, link_port: link, ..config(&self.dir) };
        self.started = Some(Machine::start(config).await.unwrap());
    }
}

fn client(started: &Started) -> Client {
    let fingerprint = started.machine.identity().fingerprint.parse().unwrap();
    Client::pinned(&started.web_address().to_string(), fingerprint).unwrap()
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, web::ClientError>) -> String {
    match outcome {
        Err(fault) => {
            fault.refusal().map(|refusal| refusal.code.to_string()).unwrap_or_else(|| fault.to_string())
        }
        Ok(answer) => panic!("this should have been refused, but: {answer:?}"),
    }
}
