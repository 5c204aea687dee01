//! The whole machine: what it is for good (identity, settings, stores), who owns it, and what runs at present.
//!
//! It is what the service functions work on. It starts in reading order, and a role change goes through one
//! door, so that two of them never meet.

use crate::announce::{self, Announcement, Event};
use crate::claim::{ClaimAnswer, ClaimError, ClaimRequest, Enrolment, Owner};
use crate::config::Config;
use crate::files::{self, FileError};
use crate::identity::{Identity, IdentityError};
use crate::role::{ClusterSettings, Role, RoleError};
use crate::running::{Ground, Running, StartError};
use crate::service::accounts::Accounts;
use crate::shell::clock::SteadyClock;
use crate::shell::engine::EngineSlot;
use crate::shell::phones::{ListenError, Listening};
use crate::shell::records::Recorder;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use store::{ConfigStore, Journal, RuntimeStore, Shelf, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use web::auth::Principal;
use web::cert::{CertificateError, PemPair};
use web::serve::{Limits, ServeError, Server};
use web::{Auth, Certificate, Hub};

/// The account of the machine's own administrator.
pub const ADMIN: &str = "admin";
/// The file with its first password.
const ADMIN_FILE: &str = "admin.txt";

/// Why the machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The state folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its owner.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Its role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// Its stores.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port of SIP.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What should run.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its web certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its web server.
    #[error("{source}\n  fix: stop that process or change 'web_port' in the configuration")]
    Web {
        /// What the server says.
        source: ServeError,
    },
    /// Its first account.
    #[error(transparent)]
    Account(#[from] web::ApiError),
    /// The runtime of links.
    #[error("cannot start the link's runtime: {0}")]
    Runtime(std::io::Error),
}

/// A machine at work; clones share it.
#[derive(Clone)]
pub struct Machine {
    inner: Arc<Inner>,
}

struct Inner {
    ground: Ground,
    auth: Auth,
    enrolment: Arc<Mutex<Enrolment>>,
    /// None only while a role is being changed.
    running: RwLock<Option<Arc<Running>>>,
    /// Held while a role is changed.
    changing: tokio::sync::Mutex<()>,
    announcements: mpsc::UnboundedSender<announce::Job>,
    /// Keeps the runtime of links alive; taken at the stop.
    link_runtime: Mutex<Option<LinkRuntime>>,
    started: Duration,
    stop: CancellationToken,
}

/// A machine and its web server, started.
pub struct Started {
    /// The machine.
    pub machine: Machine,
    web: Server,
}

impl Started {
    /// Where the API and pages are served.
    #[must_use]
    pub fn web_address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Drains and stops everything: new calls are refused, calls in progress have so long to end.
    pub async fn stop(self, patience: Duration) {
        let machine = &self.machine;
        machine.stop_running(patience, Some(machine.runtime())).await;
        machine.inner.stop.cancel();
        self.web.stopped().await;
        self.machine.inner.ground.phones.stopped().await;
        drop(self.machine.inner.link_runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The runtime of connections between members. It may be dropped anywhere: what is left in it is cut off.
struct LinkRuntime(Option<tokio::runtime::Runtime>, tokio::runtime::Handle);

impl LinkRuntime {
    fn build() -> std::io::Result<LinkRuntime> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("link-io")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(LinkRuntime(Some(runtime), handle))
    }

    fn handle(&self) -> tokio::runtime::Handle {
        self.1.clone()
    }
}

impl Drop for LinkRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Machine {
    /// Starts a machine in its state folder, in the role it has there.
    ///
    /// # Errors
    /// See [`MachineError`]; nothing is left running.
    pub async fn start(config: Config) -> Result<Started, MachineError> {
        files::make_private_dir(&config.dir)?;
        let identity = Arc::new(Identity::load_or_make(&config.dir, &config.name, config.bind)?);
        let enrolment = Arc::new(Mutex::new(Enrolment::load_or_make(&config.dir, &identity.fingerprint)?));
        let role = Role::load_or_make(&config.dir, &identity, &config.name)?;
        let store = ConfigStore::open(&config.dir.join("config.db"))?;
        let runtime = RuntimeStore::open(&config.dir.join("runtime.db"))?;
        let live = Journal::open(&config.dir.join("live.journal"))?;
        let stop = CancellationToken::new();
        let link_runtime = LinkRuntime::build().map_err(MachineError::Runtime)?;
        let clock = SteadyClock::start();
        let hub = Hub::new(stop.clone());
        let link_io = link_runtime.handle();
        let web_bind = SocketAddr::new(config.bind, config.web_port);
        let web_port = web::serve::listen(web_bind).await.map_err(|source| MachineError::Web { source })?;
        let listening = Listening::open(config.bind, config.sip_ports(), config.sip_shards, clock)?;
        let (phones, slot) = (listening.phones(), EngineSlot::default());
        let recorder = Arc::new(Recorder::start(runtime.clone(), live.clone(), hub.clone())?);
        let ground =
            Ground { config, identity, clock, store, runtime, live, recorder, hub, phones, slot, link_io };
        let running = Running::start(&ground, role).await?;
        listening.serve(&ground.slot, &stop);
        let (announcements, jobs) = mpsc::unbounded_channel();
        tokio::spawn(announce::run(jobs, stop.clone()));
        let auth = auth(&ground, &enrolment);
        let machine = Machine {
            inner: Arc::new(Inner {
                started: clock.now(),
                ground,
                auth,
                enrolment,
                running: RwLock::new(Some(Arc::new(running))),
                changing: tokio::sync::Mutex::default(),
                announcements,
                link_runtime: Mutex::new(Some(link_runtime)),
                stop: stop.clone(),
            }),
        };
        machine.first_account().await?;
        let identity = machine.identity();
        let pem =
            PemPair { certificate_pem: identity.certificate_pem.clone(), key_pem: identity.key_pem.clone() };
        let router = crate::api::router(&machine);
        let web =
            web::serve::serve_on(web_port, router, Certificate::from_pem(&pem)?, Limits::default(), stop)
                .map_err(|source| MachineError::Web { source })?;
        machine.announce(Event::Start);
        Ok(Started { machine, web })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.ground.config
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.ground.identity
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> SteadyClock {
        self.inner.ground.clock
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> Duration {
        self.inner.started
    }

    /// Where configuration rests.
    #[must_use]
    pub fn store(&self) -> &ConfigStore {
        &self.inner.ground.store
    }

    /// Where records of calls rest.
    #[must_use]
    pub fn runtime(&self) -> &RuntimeStore {
        &self.inner.ground.runtime
    }

    /// Live events.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.ground.hub
    }

    /// Accounts, sessions and the manager's token.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    /// What runs; none while the role is being changed.
    #[must_use]
    pub fn running(&self) -> Option<Arc<Running>> {
        self.inner.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The code an operator reads on the console, while nobody owns the machine.
    #[must_use]
    pub fn claim_code(&self) -> Option<String> {
        self.enrolment().code().map(str::to_owned)
    }

    /// The owner, if there is one.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.enrolment().owner().cloned()
    }

    /// See [`Enrolment::release`].
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn release(&self) -> Result<(), ClaimError> {
        self.enrolment().release()?;
        tracing::info!("this machine is released; its new claim code is in the file claim-code");
        Ok(())
    }

    /// See [`Enrolment::claim`].
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn claim(&self, request: &ClaimRequest) -> Result<ClaimAnswer, ClaimError> {
        let now = self.clock().now();
        let answer = self.enrolment().claim(now, request)?;
        tracing::info!(manager = %request.manager.name, "this machine is claimed");
        self.hub().changed("state");
        Ok(answer)
    }

    /// Takes up another role. The caller has checked that calls may be ended.
    ///
    /// # Errors
    /// When it cannot be kept or taken up; in the latter case the machine goes back to the one before.
    pub async fn change_role(&self, role: Role) -> Result<(), MachineError> {
        let _alone = self.inner.changing.lock().await;
        let before = self.running().map(|running| running.role.clone());
        role.save(&self.config().dir)?;
        self.stop_running(Duration::ZERO, None).await;
        if before.as_ref().map(Role::cluster).map(id) != Some(id(role.cluster())) {
            self.forget_bindings()?;
        }
        if let Err(fault) = self.take_up(role).await {
            if let Some(before) = before {
                tracing::error!(%fault, "the new role cannot be taken up: going back");
                before.save(&self.config().dir)?;
                self.take_up(before).await?;
            }
            return Err(fault);
        }
        self.hub().changed("state");
        self.announce(Event::Role);
        Ok(())
    }

    async fn take_up(&self, role: Role) -> Result<(), MachineError> {
        let word = role.name().word();
        let running = Running::start(&self.inner.ground, role).await?;
        *self.inner.running.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(running));
        tracing::info!(role = word, "role taken up");
        Ok(())
    }

    async fn stop_running(&self, patience: Duration, keep_in: Option<&RuntimeStore>) {
        if let Some(running) = self.running() {
            running.stop(patience, keep_in).await;
        }
        *self.inner.running.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The realm changes with the cluster: no phone is registered in the new one, and no call is its.
    fn forget_bindings(&self) -> Result<(), MachineError> {
        self.inner.ground.live.clear(Shelf::DIALOG)?;
        Ok(self.inner.ground.live.clear(Shelf::BINDING)?)
    }

    fn announce(&self, event: Event) {
        let (Some(owner), Some(running)) = (self.owner(), self.running()) else { return };
        let announcement = Announcement::of(self.identity(), self.config(), &running.role, event);
        let _stopping = self.inner.announcements.send((owner, announcement));
    }

    /// There is no default password: the first one is random and lies in the state folder.
    async fn first_account(&self) -> Result<(), MachineError> {
        if Accounts::new(self.store().clone()).exists(ADMIN)? {
            return Ok(());
        }
        let password = self.auth().create(ADMIN, web::Role::Administrator).await?;
        let text = format!("{ADMIN} {password}\n");
        Ok(files::write_private(&self.config().dir.join(ADMIN_FILE), text.as_bytes())?)
    }

    /// Sets the administrator's password; the first one is no longer anywhere.
    ///
    /// # Errors
    /// The password is refused, or the store cannot be written.
    pub async fn set_admin_password(&self, password: &str) -> Result<(), MachineError> {
        self.auth().set_password(ADMIN, web::Role::Administrator, password, false).await?;
        Ok(files::remove(&self.config().dir.join(ADMIN_FILE))?)
    }

    fn enrolment(&self) -> MutexGuard<'_, Enrolment> {
        self.inner.enrolment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(cluster: &ClusterSettings) -> &model::ClusterId {
    &cluster.id
}

/// Whoever has an account, and the manager with its token.
fn auth(ground: &Ground, enrolment: &Arc<Mutex<Enrolment>>) -> Auth {
    let enrolment = Arc::clone(enrolment);
    Auth::with_tokens(Arc::new(Accounts::new(ground.store.clone())), move |token| {
        let enrolment = enrolment.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = enrolment.owner().filter(|_| enrolment.is_owner(token))?;
        Some(Principal {
            user: owner.manager.name.clone(),
            role: web::Role::Administrator,
            must_change: false,
            csrf: None,
        })
    })
}
