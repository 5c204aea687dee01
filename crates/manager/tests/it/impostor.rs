//! A machine that is none: it speaks the machine API of the manager's contract, and says what the test told it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use manager::machine::proof;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use web::serve::{Limits, serve};
use web::{ApiError, Certificate, Client, Json};

pub(crate) const CODE: &str = "ABCD-EFGH-JKLM-NPQR";

/// What it says and what it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) release: &'static str,
    pub(crate) hardware_type: &'static str,
    pub(crate) dongle_id: String,
    pub(crate) clock_ahead_ms: u64,
    pub(crate) subscribers: u64,
    pub(crate) calls: u64,
    /// Answers with this code in place of its own at the claim.
    pub(crate) knows_code: &'static str,
    /// Refuses that many signing requests.
    pub(crate) csr_failures: u32,
    pub(crate) role: String,
    pub(crate) node_number: Option<u8>,
    pub(crate) owner: Option<Value>,
    pub(crate) objects: BTreeMap<String, Value>,
    /// Every request, as `METHOD path`.
    pub(crate) heard: Vec<String>,
    /// Every role written.
    pub(crate) roles: Vec<Value>,
}

impl Default for Told {
    fn default() -> Told {
        Told {
            release: "R7.0",
            hardware_type: "server",
            dongle_id: "AAAA-0001".to_owned(),
            clock_ahead_ms: 0,
            subscribers: 0,
            calls: 0,
            knows_code: CODE,
            csr_failures: 0,
            role: "independent".to_owned(),
            node_number: None,
            owner: None,
            objects: BTreeMap::new(),
            heard: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// The machine; clones are the same one.
#[derive(Clone)]
pub(crate) struct Impostor {
    told: Arc<Mutex<Told>>,
    fingerprint: String,
    pub(crate) address: String,
    stop: CancellationToken,
}

impl Impostor {
    pub(crate) async fn start(told: Told) -> Impostor {
        let names = ["127.0.0.1".to_owned()];
        let pem = web::cert::self_signed("impostor", &names, jiff::Timestamp::now()).unwrap();
        let certificate = Certificate::from_pem(&pem).unwrap();
        let mut machine = Impostor {
            told: Arc::new(Mutex::new(told)),
            fingerprint: certificate.fingerprint().to_string(),
            address: String::new(),
            stop: CancellationToken::new(),
        };
        let routes = Router::new()
            .route("/api/v1/identity", get(identity))
            .route("/api/v1/claim", post(claim))
            .route("/api/v1/state", get(state))
            .route("/api/v1/csr", post(csr))
            .route("/api/v1/role", post(role))
            .route("/api/v1/release", post(release))
            .route("/api/v1/objects/{kind}", get(objects))
            .route("/api/v1/objects/{kind}/{key}", axum::routing::put(put_object).delete(delete_object))
            .with_state(machine.clone());
        let bind = "127.0.0.1:0".parse().unwrap();
        let server = serve(bind, routes, certificate, Limits::default(), machine.stop.clone()).await.unwrap();
        machine.address = server.address().to_string();
        machine
    }

    pub(crate) async fn named(dongle_id: &str) -> Impostor {
        Impostor::start(Told { dongle_id: dongle_id.to_owned(), ..Told::default() }).await
    }

    /// What it knows; to look at and to change.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Requests other than looking at its identity and state.
    pub(crate) fn acts(&self) -> Vec<String> {
        self.told().heard.iter().filter(|line| !line.starts_with("GET /api/v1/state")).cloned().collect()
    }

    fn hear(&self, line: &str) -> MutexGuard<'_, Told> {
        let mut told = self.told();
        told.heard.push(line.to_owned());
        told
    }

    /// Refuses whoever has no token.
    fn guard(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let told = self.told();
        let owner = told.owner.as_ref().ok_or_else(ApiError::unauthorized)?;
        let expected = format!("Bearer {}", owner["token"].as_str().unwrap());
        match headers.get("authorization").map(|value| value.to_str().unwrap() == expected) {
            Some(true) => Ok(()),
            _ => Err(ApiError::unauthorized()),
        }
    }
}

fn now_ms(told: &Told) -> u64 {
    manager::machine::unix_ms() + told.clock_ahead_ms
}

async fn identity(State(machine): State<Impostor>) -> Json<Value> {
    let told = machine.hear("GET /api/v1/identity");
    Json(json!({
        "release": told.release, "hardware_type": told.hardware_type, "dongle_id": told.dongle_id,
        "unix_ms": now_ms(&told), "role": told.role, "node_number": told.node_number,
        "claimed": told.owner.is_some(), "fingerprint": machine.fingerprint, "name": "impostor",
    }))
}

async fn claim(State(machine): State<Impostor>, Json(request): Json<Value>) -> Result<Json<Value>, ApiError> {
    let mut told = machine.hear("POST /api/v1/claim");
    let nonce = request["nonce"].as_str().unwrap();
    if request["proof"] != json!(proof(CODE, "claim", &machine.fingerprint, nonce)) {
        return Err(ApiError::forbidden(
            "wrong-proof",
            "the proof does not fit the claim code of this machine",
        )
        .next("read the code on the machine's console"));
    }
    let answer = json!({
        "token": format!("token-of-{}", told.dongle_id), "announce_token": format!("announce-of-{}", told.dongle_id),
        "proof": proof(told.knows_code, "machine", &machine.fingerprint, nonce),
    });
    let mut owner = answer.clone();
    owner["manager"] = request["manager"].clone();
    told.owner = Some(owner);
    Ok(Json(answer))
}

async fn state(State(machine): State<Impostor>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    let told = machine.hear("GET /api/v1/state");
    let nodes: Vec<Value> = told
        .objects
        .keys()
        .filter_map(|key| key.strip_prefix("node/"))
        .map(|number| {
            json!({"number": number.parse::<u8>().unwrap(), "name": "n", "state": "connected", "since_ms": 1,
                   "digest_equal": true, "lag": 0})
        })
        .collect();
    let cluster = told.roles.last().map(|role| role["cluster"].clone()).filter(|cluster| !cluster.is_null());
    let word = if told.role == "node" { "connected" } else { "serving" };
    Ok(Json(json!({
        "release": told.release, "hardware_type": told.hardware_type, "dongle_id": told.dongle_id,
        "unix_ms": now_ms(&told), "role": told.role, "node_number": told.node_number, "state": word,
        "cluster": cluster, "position": {"history": 1, "epoch": 1, "revision": 5}, "digest": "00",
        "subscribers": told.subscribers, "general_purpose_only": told.subscribers <= 1, "bindings": 0,
        "calls": told.calls, "uplink": null, "nodes": nodes,
    })))
}

async fn csr(
    State(machine): State<Impostor>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    let mut told = machine.hear("POST /api/v1/csr");
    if told.csr_failures > 0 {
        told.csr_failures -= 1;
        return Err(ApiError::internal("no random bytes"));
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec![request["common_name"].as_str().unwrap().to_owned()];
    let csr = rcgen::CertificateParams::new(names).unwrap().serialize_request(&key).unwrap();
    Ok(Json(json!({"csr_pem": csr.pem().unwrap()})))
}

async fn role(
    State(machine): State<Impostor>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    machine.guard(&headers)?;
    let mut told = machine.hear("POST /api/v1/role");
    if told.calls > 0 && request["force"] != json!(true) {
        return Err(ApiError::conflict("calls-up", "calls are up"));
    }
    told.role = request["role"].as_str().unwrap().to_owned();
    told.node_number = request["node_number"].as_u64().map(|number| u8::try_from(number).unwrap());
    told.roles.push(request);
    let announcement = json!({
        "dongle_id": told.dongle_id, "release": told.release, "role": told.role,
        "node_number": told.node_number, "event": "role",
    });
    tokio::spawn(announce(told.owner.clone().unwrap(), announcement));
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// PBX_INFOS, as a machine sends it when its engine is up again.
async fn announce(owner: Value, announcement: Value) {
    let contact = &owner["manager"];
    let url = contact["announce_url"].as_str().unwrap();
    let (address, path) = url.strip_prefix("https://").unwrap().split_once('/').unwrap();
    let pin = contact["announce_fingerprint"].as_str().unwrap().parse().unwrap();
    let client = Client::pinned(address, pin).unwrap().with_token(owner["announce_token"].as_str().unwrap());
    let _heard: Value = client.post(&format!("/{path}"), &announcement).await.unwrap();
}

async fn release(State(machine): State<Impostor>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    machine.hear("POST /api/v1/release").owner = None;
    Ok(Json(json!({})))
}

async fn objects(
    State(machine): State<Impostor>,
    headers: HeaderMap,
    Path(kind): Path<String>,
) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    let told = machine.hear(&format!("GET /api/v1/objects/{kind}"));
    let rows = told.objects.iter().filter_map(|(path, value)| {
        let (of, key) = path.split_once('/').unwrap();
        (of == kind).then(|| json!({"key": key, "revision": 1, "value": value}))
    });
    Ok(Json(rows.collect()))
}

async fn put_object(
    State(machine): State<Impostor>,
    headers: HeaderMap,
    Path((kind, key)): Path<(String, String)>,
    Json(value): Json<Value>,
) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    let mut told = machine.hear(&format!("PUT /api/v1/objects/{kind}/{key}"));
    if value.get("first").is_some_and(|first| first == "x") {
        return Err(ApiError::bad_request(
            "invalid-object",
            "numbering-range 'x': first: 'x' is not a number",
        ));
    }
    told.objects.insert(format!("{kind}/{key}"), value);
    Ok(Json(json!({"revision": 6})))
}

async fn delete_object(
    State(machine): State<Impostor>,
    headers: HeaderMap,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    machine.guard(&headers)?;
    let mut told = machine.hear(&format!("DELETE /api/v1/objects/{kind}/{key}"));
    match told.objects.remove(&format!("{kind}/{key}")) {
        Some(_) => Ok(Json(json!({"revision": 7}))),
        None => Err(ApiError::not_found(format!("{kind} '{key}'"))),
    }
}
