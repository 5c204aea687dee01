//! What runs while a machine has a role: both halves of the member on their threads, the sockets of phones and
//! members. A change of role stops one [`Running`] and starts the next (DCS-21, DEP-34); a change of data never
//! does.

use crate::config::Config;
use crate::data::{self, DataError};
use crate::identity::{Identity, IdentityError, random};
use crate::member::{CallOutput, CallSide, CallSideConfig, LinkSide};
use crate::role::{Membership, Role, RoleName};
use crate::shell::clock::{SteadyClock, ms};
use crate::shell::engine::{self, Engine, EngineHandle, EngineSlot};
use crate::shell::link::connection::Connections;
use crate::shell::link::dial::Dialler;
use crate::shell::link::{self, LinkHandle, listen, tls};
use crate::shell::media::{self, MediaRelay};
use crate::shell::members::Members;
use crate::shell::phones::tls::PhoneTlsError;
use crate::shell::phones::{self, ListenError, Phones};
use crate::shell::records::Recorder;
use call::{EdgeConfig, PackedBinding, Place};
use cluster::{Hub as LinkHub, Uplink, hub, uplink};
use model::{ClusterId, Position, Record};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{ConfigStore, Journal, RuntimeStore, RuntimeWrite, Shelf, Since, StoreError};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::events::Hub;

/// Past revisions a cluster server holds ready for nodes that were away.
const RECENT_REVISIONS: u64 = 10_000;

/// Why a role cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The certificate for phones.
    #[error(transparent)]
    PhoneTls(#[from] PhoneTlsError),
    /// Random bytes.
    #[error(transparent)]
    Random(#[from] IdentityError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What a role is taken up with.
#[derive(Clone)]
pub struct Ground {
    /// The settings, with the ports that were really given.
    pub config: Config,
    /// Who the machine is.
    pub identity: Arc<Identity>,
    /// The time.
    pub clock: SteadyClock,
    /// Where configuration rests.
    pub store: ConfigStore,
    /// Where records of calls rest.
    pub runtime: RuntimeStore,
    /// Where registrations rest, and calls.
    pub live: Journal,
    /// Brings records of calls into the log.
    pub recorder: Arc<Recorder>,
    /// Who wants to know.
    pub hub: Hub,
    /// Phones' sockets, which stay open over changes of role.
    pub phones: Phones,
    /// Which engine their messages go to.
    pub slot: EngineSlot,
    /// The runtime of connections between members.
    pub link_io: tokio::runtime::Handle,
}

/// A member at work.
pub struct Running {
    /// In which role.
    pub role: Role,
    /// Since when.
    pub since: Duration,
    /// The call side.
    pub engine: EngineHandle,
    /// The link side.
    pub link: LinkHandle,
    /// Phones' sockets.
    pub phones: Phones,
    /// Connections to other members.
    pub members: Members,
    /// On a node: the way to the cluster server.
    pub dialler: Option<Dialler>,
    /// On a cluster server: where nodes dial.
    pub link_address: Option<SocketAddr>,
    media: MediaRelay,
    recorder: Arc<Recorder>,
    slot: EngineSlot,
    threads: Mutex<Option<Threads>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The member's data as its machines are made of them.
struct Loaded {
    position: Position,
    records: Vec<Record>,
    bindings: Vec<PackedBinding>,
    calls: Vec<Vec<u8>>,
    subscriptions: Vec<Vec<u8>>,
}

impl Running {
    /// Takes up a role.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub async fn start(ground: &Ground, role: Role) -> Result<Running, StartError> {
        let loaded = load(ground, &role)?;
        let (certificate, _) = role.sip_trust(&ground.identity);
        let certificate = phones::tls::server(certificate, &ground.identity.key_pem)?;
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let tasks = TaskTracker::new();
        let shards = ground.config.sip_shards;
        let (engine, engine_inbox) = EngineHandle::open(shards, random()?).map_err(StartError::Thread)?;
        let (link, link_inbox) = LinkHandle::open();
        let members = Members::default();
        let connections = Connections::default();
        let dialler = dialler(ground, &role)?;
        let acceptance = Acceptance {
            connections: connections.clone(),
            link: link.clone(),
            members: members.clone(),
            engine: engine.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let link_address = open_link_port(ground, &role, acceptance).await?;
        let now = ground.clock.now();
        let side = link_side(ground, &role, &loaded, now)?;
        let link_around = link::Surroundings {
            clock: ground.clock,
            engine: engine.clone(),
            members: members.clone(),
            connections,
            dialler: dialler.clone(),
            config: ground.store.clone(),
            runtime: ground.runtime.clone(),
            io: ground.link_io.clone(),
            hub: ground.hub.clone(),
        };
        let mut first = Vec::new();
        let calls = call_side(ground, &role, loaded, now, &mut first)?;
        let media = media_relay(ground, &engine)?;
        let engine_around = engine_around(ground, &role, &members, &link, media.clone());
        let engine_threads =
            engine_inbox.start(&engine, calls, first, &engine_around).map_err(StartError::Thread)?;
        let link_thread = link_inbox.start(&link, side, link_around).map_err(StartError::Thread)?;
        if let Some(dialler) = dialler.clone() {
            let keeping = dialler.keep_sip(members.clone(), engine.clone(), stop.clone());
            tasks.spawn_on(keeping, &ground.link_io);
        }
        ground.phones.certify(certificate);
        ground.slot.set(Some(engine.clone()));
        let threads = Mutex::new(Some(Threads { engine: engine_threads, link: link_thread }));
        let stop = guard.disarm();
        Ok(Running {
            role,
            since: now,
            engine,
            link,
            phones: ground.phones.clone(),
            members,
            dialler,
            link_address,
            media,
            recorder: Arc::clone(&ground.recorder),
            slot: ground.slot.clone(),
            threads,
            tasks,
            stop,
        })
    }

    /// Calls in progress.
    pub async fn calls(&self) -> usize {
        let of_each = self.engine.ask_all(|engine| engine.lane().shard().calls().count()).await;
        of_each.map_or(0, |of_each| of_each.into_iter().sum())
    }

    /// Stops taking calls, waits up to `patience` for those in progress, keeps those still up in `keep_in` if it
    /// is given, and ends everything.
    pub async fn stop(&self, patience: Duration, keep_in: Option<&RuntimeStore>) {
        self.engine.tell(crate::member::CallInput::Drain);
        let deadline = tokio::time::Instant::now() + patience;
        while self.calls().await > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.slot.set(None);
        self.engine.stop();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (link, media, keep_in) = (self.link.clone(), self.media.clone(), keep_in.cloned());
        let recorder = Arc::clone(&self.recorder);
        let joined = tokio::task::spawn_blocking(move || {
            if let Some(threads) = threads {
                threads.end(&link, &media, keep_in.as_ref());
            }
            recorder.settle();
        });
        if joined.await.is_err() {
            tracing::error!("the member's threads could not be waited for");
        }
        // The last words of the link are on their way for a moment.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.phones.close_connections();
    }
}

/// The threads of a member.
struct Threads {
    engine: Vec<JoinHandle<Engine>>,
    link: JoinHandle<()>,
}

impl Threads {
    /// Waits for those of the engine, which was told to stop, keeps what they held, and ends the link.
    fn end(self, link: &LinkHandle, media: &MediaRelay, keep_in: Option<&RuntimeStore>) {
        let count = self.engine.len();
        let stopped: Vec<Engine> = self.engine.into_iter().filter_map(|thread| thread.join().ok()).collect();
        if stopped.len() < count {
            tracing::error!("a thread of the engine had panicked: its calls are lost");
        } else if let (Some(side), Some(runtime)) = (engine::joined(stopped), keep_in) {
            freeze(&side, media, runtime);
        }
        drop(media.freeze());
        link.stop();
        if self.link.join().is_err() {
            tracing::error!("the thread of the link had panicked");
        }
    }
}

/// Keeps the calls that are still up, and the lamps that phones watch, for the process that follows. Connections end with this one; phones on UDP and the
/// other members notice nothing.
fn freeze(side: &CallSide, media: &MediaRelay, runtime: &RuntimeStore) {
    let edge = side.edge();
    let calls = edge.calls().len();
    if calls + edge.owed() + edge.unwritten() + edge.subscriptions() == 0 {
        return;
    }
    let kept = side.freeze().map_err(|fault| fault.to_string()).and_then(|value| {
        let kept = |name: &str, value| RuntimeWrite::Freeze { name: name.to_owned(), value };
        let writes = vec![kept(FROZEN, value), kept(FROZEN_MEDIA, media.freeze())];
        runtime.write(writes).map_err(|fault| fault.to_string())
    });
    match kept {
        Ok(()) => tracing::info!(calls, "calls kept for the next start"),
        Err(fault) => tracing::error!(%fault, "calls cannot be kept over the restart"),
    }
}

fn engine_around(
    ground: &Ground,
    role: &Role,
    members: &Members,
    link: &LinkHandle,
    media: MediaRelay,
) -> engine::Surroundings {
    engine::Surroundings {
        clock: ground.clock,
        phones: ground.phones.clone(),
        flood: ground.config.flood,
        members: members.clone(),
        link: link.clone(),
        records: ground.recorder.records(),
        live: ground.live.clone(),
        hub: ground.hub.clone(),
        media,
        uploads: role.name() == RoleName::Node,
    }
}

fn load(ground: &Ground, role: &Role) -> Result<Loaded, StartError> {
    data::agree(&ground.store, role)?;
    let snapshot = ground.store.snapshot()?;
    let bindings = ground.live.read(Shelf::BINDING)?;
    let bindings = bindings.iter().filter_map(|kept| PackedBinding::parse(&kept.value)).collect();
    let values = |shelf| -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(ground.live.read(shelf)?.into_iter().map(|kept| kept.value).collect())
    };
    let (calls, subscriptions) = (values(Shelf::DIALOG)?, values(Shelf::SUBSCRIPTION)?);
    Ok(Loaded { position: snapshot.position, records: snapshot.records, bindings, calls, subscriptions })
}

/// The names of the frozen edge and of its media in the store.
const FROZEN: &str = "edge";
const FROZEN_MEDIA: &str = "media";

/// The relays: their streams are opened by the call side, and go on where the process before stopped.
fn media_relay(ground: &Ground, engine: &EngineHandle) -> Result<MediaRelay, StartError> {
    let frozen = ground.runtime.frozen(FROZEN_MEDIA)?;
    if frozen.is_some() {
        ground.runtime.write(vec![RuntimeWrite::RemoveFrozen(FROZEN_MEDIA.to_owned())])?;
    }
    let engine = engine.clone();
    let config = &ground.config.media;
    let beginning = media::Beginning {
        clock: ground.clock,
        threads: usize::from(config.threads),
        silence: config.settings().silence,
        frozen,
        listener: Arc::new(move |report| engine.tell(crate::member::CallInput::Media(report))),
    };
    MediaRelay::start(beginning).map_err(StartError::Thread)
}

/// The call side: as it stopped if this process follows one that did, else with the registrations on disk.
fn call_side(
    ground: &Ground,
    role: &Role,
    loaded: Loaded,
    now: Duration,
    first: &mut Vec<CallOutput>,
) -> Result<CallSide, StartError> {
    let config = call_config(ground, role, loaded)?;
    let Some(frozen) = ground.runtime.frozen(FROZEN)? else { return Ok(restored(now, config, first)) };
    // Whatever comes of it, it is not thawed twice: a second start would bring back calls that have ended.
    ground.runtime.write(vec![RuntimeWrite::RemoveFrozen(FROZEN.to_owned())])?;
    let edge = config.edge.clone();
    match CallSide::thaw(now, config.clone(), &frozen, first) {
        Ok(side) if *side.edge().config() == edge => {
            tracing::info!(calls = side.edge().calls().len(), "calls of the process before go on");
            Ok(side)
        }
        outcome => {
            if let Err(fault) = outcome {
                tracing::warn!(%fault, "calls of the process before cannot be taken over");
            }
            first.clear();
            Ok(restored(now, config, first))
        }
    }
}

/// The call side with the registrations and answered calls on disk, as after `kill -9`.
fn restored(now: Duration, config: CallSideConfig, first: &mut Vec<CallOutput>) -> CallSide {
    let side = CallSide::new(now, config, first);
    let (calls, lamps) = (side.edge().calls().len(), side.edge().subscriptions());
    if calls > 0 {
        tracing::info!(calls, "calls of the process before go on");
    }
    if lamps > 0 {
        tracing::info!(lamps, "lamps of the process before go on");
    }
    side
}

fn call_config(ground: &Ground, role: &Role, loaded: Loaded) -> Result<CallSideConfig, StartError> {
    let place = match role {
        Role::Independent { .. } => Place::Independent,
        Role::ClusterServer { .. } => Place::ClusterServer,
        Role::Node { .. } => Place::Node,
    };
    let cluster: ClusterId = role.cluster().id.clone();
    let mut edge = EdgeConfig::new(role.member(), place, cluster.as_str());
    edge.aliases.push("localhost".to_owned());
    edge.shards = ground.config.sip_shards;
    edge.media = ground.config.media.settings();
    let Loaded { records, bindings, calls, subscriptions, .. } = loaded;
    Ok(CallSideConfig { cluster, edge, seed: random()?, records, bindings, calls, subscriptions })
}

fn dialler(ground: &Ground, role: &Role) -> Result<Option<Dialler>, StartError> {
    match role {
        Role::Node { cluster, membership, cs_address, .. } => {
            Ok(Some(Dialler::new(cs_address, &cluster.id, &ground.identity, membership)?))
        }
        Role::Independent { .. } | Role::ClusterServer { .. } => Ok(None),
    }
}

fn link_side(ground: &Ground, role: &Role, loaded: &Loaded, now: Duration) -> Result<LinkSide, StartError> {
    match role {
        Role::Independent { .. } => Ok(LinkSide::None),
        Role::ClusterServer { cluster, .. } => {
            let from = loaded.position.revision.saturating_sub(RECENT_REVISIONS);
            let recent = match ground.store.changes_since(from)? {
                Since::Changes { changes, .. } => changes,
                Since::Compacted => Vec::new(),
            };
            let settings = hub::Settings { cluster: cluster.id.clone(), release: ground.config.release };
            let machine = LinkHub::new(settings, loaded.position, loaded.records.clone(), recent, now);
            Ok(LinkSide::Server(Box::new(machine)))
        }
        Role::Node { cluster, number, .. } => {
            let identity = uplink::Identity {
                cluster: cluster.id.clone(),
                member: *number,
                dongle_id: ground.identity.dongle_id.clone(),
                release: ground.config.release,
                hardware_type: ground.config.hardware_type,
            };
            let instance = next_instance(&ground.store, now)?;
            let seed = random()?;
            let machine = Uplink::new(identity, instance, loaded.position, &loaded.records, seed, now);
            Ok(LinkSide::Node(Box::new(machine)))
        }
    }
}

/// A number above those of all earlier starts, even if the clock was set back.
fn next_instance(store: &ConfigStore, now: Duration) -> Result<u64, StoreError> {
    const SETTING: &str = "instance";
    let last: u64 = store.setting(SETTING)?.unwrap_or(0);
    let instance = ms(now).max(last.saturating_add(1));
    store.set_setting(SETTING, &instance)?;
    Ok(instance)
}

/// Where nodes dial, on a cluster server.
async fn open_link_port(
    ground: &Ground,
    role: &Role,
    acceptor: Acceptance,
) -> Result<Option<SocketAddr>, StartError> {
    let Role::ClusterServer { cluster, membership } = role else { return Ok(None) };
    let tasks = acceptor.tasks;
    let acceptor = listen::Acceptor {
        tls: acceptor_tls(&ground.identity, membership)?,
        cluster: cluster.id.clone(),
        connections: acceptor.connections,
        link: acceptor.link,
        members: acceptor.members,
        engine: acceptor.engine,
        stop: acceptor.stop,
    };

    let bind = SocketAddr::new(ground.config.bind, ground.config.link_port);
    // The listener must belong to the runtime that serves its connections.
    let opened = ground.link_io.spawn(async move {
        let listener = listen::open(bind).await?;
        let address = listener.local_addr().map_err(|source| ListenError::of(bind, "link_port", source))?;
        tasks.spawn(listen::accept(listener, Arc::new(acceptor)));
        Ok::<_, ListenError>(address)
    });
    match opened.await {
        Ok(address) => Ok(Some(address?)),
        Err(fault) => Err(StartError::Thread(std::io::Error::other(fault))),
    }
}

/// Who takes the connections that come to the link port.
struct Acceptance {
    connections: Connections,
    link: LinkHandle,
    members: Members,
    engine: EngineHandle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

fn acceptor_tls(identity: &Identity, membership: &Membership) -> Result<TlsAcceptor, tls::TlsError> {
    Ok(TlsAcceptor::from(Arc::new(tls::server(identity, membership)?)))
}
