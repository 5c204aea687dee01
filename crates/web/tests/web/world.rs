//! A small face, served.

use axum::Router;
use axum::routing::{get, post};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use web::app::App;
use web::face::{Face, MenuGroup, MenuItem, Page};
use web::serve::{Limits, Server, serve};
use web::{
    Account, AccountStore, Administrator, ApiError, Auth, Certificate, Hub, Json, Principal, Role, Viewer,
    Visit,
};

pub(crate) const TOKEN: &str = "the-manager-token";

#[derive(Default)]
struct Accounts(Mutex<BTreeMap<String, Account>>);

impl AccountStore for Accounts {
    fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
        Ok(self.0.lock().unwrap().get(user).cloned())
    }
    fn save(&self, user: &str, account: &Account) -> Result<(), ApiError> {
        self.0.lock().unwrap().insert(user.to_owned(), account.clone());
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) address: String,
    pub(crate) auth: Auth,
    pub(crate) hub: Hub,
    pub(crate) certificate: Certificate,
    pub(crate) stop: CancellationToken,
    pub(crate) server: Server,
}

const MENU: &[MenuGroup] =
    &[MenuGroup { label: "Network", items: &[MenuItem { label: "Overview", href: "/", icon: "map" }] }];

pub(crate) fn certificate() -> Certificate {
    let now = jiff::Timestamp::now();
    Certificate::from_pem(&web::cert::self_signed("test", &["127.0.0.1".to_owned()], now).unwrap()).unwrap()
}

fn routes() -> Router {
    Router::new()
        .route(
            "/",
            get(async |visit: Visit| face().page(&visit, &Page::new("Overview", "<p>All is well</p>"))),
        )
        .route("/api/v1/things", get(async |_: Viewer| Json(vec![1, 2, 3])))
        .route("/api/v1/things", post(async |_: Administrator, Json(thing): Json<u32>| Json(thing + 1)))
        .route("/things", post(async |_: Administrator| web::flash::done("/", "It is <done>")))
        .route("/api/v1/open", get(async || Json("open")))
}

fn face() -> Arc<Face> {
    Arc::new(Face { title: "Test", place: "here".into(), release: "R7.0".into(), menu: MENU })
}

impl World {
    pub(crate) async fn start(limits: Limits) -> World {
        let auth = Auth::with_tokens(Arc::new(Accounts::default()), |token| {
            let user = "manager".to_owned();
            (token == TOKEN).then_some(Principal {
                user,
                role: Role::Administrator,
                must_change: false,
                csrf: None,
            })
        });
        auth.set_password("viewer", Role::Viewer, "just looking", false).await.unwrap();
        let stop = CancellationToken::new();
        let hub = Hub::new(stop.clone());
        let certificate = certificate();
        let app = App { face: face(), auth: auth.clone(), hub: hub.clone(), routes: routes() };
        let bind: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = serve(bind, app.router(), certificate.clone(), limits, stop.clone()).await.unwrap();
        World { address: server.address().to_string(), auth, hub, certificate, stop, server }
    }

    pub(crate) fn client(&self) -> web::Client {
        web::Client::pinned(&self.address, self.certificate.fingerprint()).unwrap()
    }
}
