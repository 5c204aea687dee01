//! Starts a manager: folder, store, certificate, first login, service, HTTPS, supervision, in this order.

use crate::accounts::Accounts;
use crate::api;
use crate::authority;
use crate::config::Config;
use crate::machine::wire::ManagerContact;
use crate::service::{Foundation, Service, ServiceError};
use crate::supervision::supervise;
use crate::vault::{self, Vault, VaultError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{ConfigStore, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web::account::Role;
use web::cert::{CertificateError, PemPair};
use web::serve::{Limits, ServeError, Server};
use web::{AccountStore as _, ApiError, Auth, Certificate, Fingerprint, Hub};

/// The login of the first operator.
const FIRST_USER: &str = "admin";

/// Why a manager does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder of its state cannot be made.
    #[error("{}: {source}", dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A private file.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// Its certificate.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// Its port.
    #[error("{0}; stop that process, or set another 'bind' in the manager's configuration")]
    Listen(#[from] ServeError),
    /// The topology.
    #[error("{0}")]
    Service(#[from] ServiceError),
    /// The first login.
    #[error("{0}")]
    Account(ApiError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signal(std::io::Error),
}

/// The first login, made at the first start and shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstLogin {
    /// The login name.
    pub user: String,
    /// The generated password; it must be changed.
    pub password: String,
    /// Where it is written, for the owner of the file only.
    pub file: PathBuf,
}

impl std::fmt::Debug for FirstLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstLogin({})", self.user)
    }
}

/// A manager at work.
#[derive(Debug)]
pub struct Manager {
    server: Server,
    service: Service,
    fingerprint: Fingerprint,
    first_login: Option<FirstLogin>,
    supervision: JoinHandle<()>,
    stop: CancellationToken,
}

impl Manager {
    /// Starts one.
    ///
    /// # Errors
    /// See [`StartError`]; each says what to do.
    pub async fn start(config: &Config) -> Result<Manager, StartError> {
        let folder = |source| StartError::Folder { dir: config.dir.clone(), source };
        std::fs::create_dir_all(&config.dir).map_err(folder)?;
        let store = Arc::new(ConfigStore::open(&config.dir.join("config.db"))?);
        let vault = Vault::open(&config.dir)?;
        let pair = web_certificate(config)?;
        let certificate = Certificate::from_pem(&pair)?;
        let fingerprint = certificate.fingerprint();
        vault::write_private(&config.dir.join("fingerprint"), format!("{fingerprint}\n").as_bytes())?;
        let stop = CancellationToken::new();
        let hub = Hub::new(stop.clone());
        let auth = Auth::new(Arc::new(Accounts(store.clone())));
        let first_login = first_login(&store, &auth, &config.dir).await?;
        let listener = web::serve::listen(config.bind).await?;
        let address =
            listener.local_addr().map_err(|source| ServeError::Bind { address: config.bind, source })?;
        let contact = ManagerContact {
            name: config.name.clone(),
            announce_url: format!("https://{}/api/v1/announce", config.public_address(address)),
            announce_fingerprint: fingerprint.to_string(),
        };
        let service = Service::open(Foundation {
            store,
            vault,
            hub: hub.clone(),
            contact,
            auth: auth.clone(),
            certificate_ends_ms: authority::ends_ms(&pair.certificate_pem),
        })?;
        let router = api::router(service.clone(), auth, hub);
        let server = web::serve::serve_on(listener, router, certificate, Limits::default(), stop.clone())?;
        let supervision = tokio::spawn(supervise(service.clone(), stop.clone()));
        Ok(Manager { server, service, fingerprint, first_login, supervision, stop })
    }

    /// Where it listens; the port is the real one even when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The fingerprint of its certificate, also in `<dir>/fingerprint`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The first login, if this was the first start.
    #[must_use]
    pub fn first_login(&self) -> Option<&FirstLogin> {
        self.first_login.as_ref()
    }

    /// What it does.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops it: requests in work are finished, then everything is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.server.stopped().await;
        if let Err(fault) = self.supervision.await {
            tracing::error!(%fault, "supervision ended badly");
        }
    }
}

/// Runs a manager until SIGINT or SIGTERM.
///
/// # Errors
/// See [`StartError`].
pub async fn run(config: Config) -> Result<(), StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let manager = Manager::start(&config).await?;
    announce(&manager);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    manager.stop().await;
    Ok(())
}

/// What a person at the console needs, once.
fn announce(manager: &Manager) {
    let (address, fingerprint) = (manager.address(), manager.fingerprint());
    tracing::info!(%address, %fingerprint, "the manager listens");
    println!("manager: https://{address}/  certificate SHA-256 {fingerprint}");
    if let Some(first) = manager.first_login() {
        println!(
            "manager: first login '{}' with password '{}' (also in {}); change it at the first login",
            first.user,
            first.password,
            first.file.display()
        );
    }
}

fn web_certificate(config: &Config) -> Result<PemPair, StartError> {
    let path = config.dir.join("web-certificate.json");
    if let Some(pair) = vault::read_json::<PemPair>(&path)? {
        return Ok(pair);
    }
    let public = config.public_address(config.bind);
    let host =
        model::topology::HostPort::parse(&public, 1).map_or_else(|_| public.clone(), |address| address.host);
    let mut names = vec!["localhost".to_owned(), config.bind.ip().to_string(), host];
    names.sort();
    names.dedup();
    let pair = web::cert::self_signed(&config.name, &names, jiff::Timestamp::now())?;
    vault::write_json(&path, &pair)?;
    Ok(pair)
}

/// Makes the first operator, unless there already is one.
async fn first_login(
    store: &Arc<ConfigStore>,
    auth: &Auth,
    dir: &Path,
) -> Result<Option<FirstLogin>, StartError> {
    let exists = Accounts(store.clone()).load(FIRST_USER).map_err(StartError::Account)?.is_some();
    if exists {
        return Ok(None);
    }
    let password = auth.create(FIRST_USER, Role::Administrator).await.map_err(StartError::Account)?;
    let file = dir.join("manager.txt");
    vault::write_private(&file, format!("{FIRST_USER} {password}\n").as_bytes())?;
    Ok(Some(FirstLogin { user: FIRST_USER.to_owned(), password, file }))
}
