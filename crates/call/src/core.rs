//! What the sessions and the owners of a shard share: transactions, dialogs, records, names; and the
//! [`Turn`], through which one step of the shard answers, asks and reports.

use crate::events::{Board, LinesTold, Notified, Notifier};
use crate::headers::{self, status_of};
use crate::hop::Hop;
use crate::io::{ClusterSide, Fault, Output};
use crate::keyed::Key;
use crate::names::Names;
use crate::owed::Owed;
use crate::owner::{Brake, Owners};
use crate::record::CallId;
use crate::session::{Desk, Passed, Session, Side, Step};
use crate::settings::{EdgeConfig, Place};
use crate::shard::{ShardId, Sorter, named_tags};
use model::routing::Uplink;
use model::tables::Tables;
use model::{Cause, Extension};
use serde::{Deserialize, Serialize};
use sip::digest::Challenger;
use sip::transaction::{Input as LayerInput, Layer, Limits, Output as LayerOutput};
use sip::{
    ClientKey, Host, HostRef, Message, Method, Name, NameAddr, Request, Response, ServerKey, Status, Tokens,
    Transport, Uri, Via,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What we understand, for Allow (RFC 3261 § 20.5).
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REFER, INFO, MESSAGE, REGISTER, SUBSCRIBE";
/// The extensions we understand, for Supported (RFC 3261 § 20.37).
pub(crate) const SUPPORTED: &str = "100rel, timer, replaces, norefersub";
/// The only body an offer or answer comes in.
pub(crate) const SDP: &str = "application/sdp";

/// What a client transaction is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// The INVITE of one branch of a call.
    Invite(CallId),
    /// A request passed on from the other side of a call.
    Passed(CallId, Passed),
    /// The question whether the phone of a leg is there.
    Check(CallId, Side),
    /// A step of a join (transfer).
    Join(CallId, Step),
    /// Something of a call whose answer changes nothing.
    Unheeded(CallId),
    /// What a subscription tells; none when it needs no answer any more.
    Notify(Option<Notified>),
    /// The BYE of a leg that is no longer anybody's; owed when it crosses the cluster.
    Bye(Option<Owed>),
}

impl Purpose {
    fn call(&self) -> Option<CallId> {
        match self {
            Purpose::Invite(call)
            | Purpose::Passed(call, _)
            | Purpose::Check(call, _)
            | Purpose::Join(call, _)
            | Purpose::Unheeded(call) => Some(*call),
            Purpose::Notify(_) | Purpose::Bye(_) => None,
        }
    }
}

/// What a session asks of its shard: what it cannot know or do itself. It is answered by an event.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Where do these digits lead? `Event::Routed` says so.
    Route {
        call: CallId,
        /// Given back with the answer.
        ticket: String,
        /// The numbers whose rights are checked; those that are not our subscribers have none to lose.
        rights: Vec<String>,
        digits: String,
        /// A phone that does not count among those of the called subscriber.
        without: Option<Hop>,
    },
    /// Give this call the one whose dialog has our `tag`, out of its shard: `Event::Brought`.
    Bring { call: CallId, tag: String },
    /// Keep this session: it was born of another one, or is given back.
    Keep(Box<Session>),
    /// A call that was taken out is over; what belonged to it is nobody's.
    Over(CallId),
}

/// What of the shared tables belongs to one call, so that its end leaves nothing behind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Belongings {
    clients: BTreeSet<ClientKey>,
    servers: BTreeSet<ServerKey>,
    tags: BTreeSet<String>,
    /// The subscriber that is counted as having begun it.
    caller: Option<Extension>,
    /// The name under which it is on disk.
    kept: Option<String>,
}

/// The secrets of an edge, the same in all its shards and kept through a freeze: what was given out with them comes back.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Keys {
    /// Spreads messages and subscribers among the shards.
    pub(crate) spread: Key,
    /// Seals our names.
    pub(crate) seal: Key,
    /// Makes nonces: a phone need not be challenged again after a thaw.
    pub(crate) nonces: [u8; 32],
}

/// The part of a shard's state that survives a freeze, its sessions apart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) cluster: ClusterSide,
    pub(crate) draining: bool,
    pub(crate) owners: Owners,
    /// Lines of its subscribers, and of others that are watched here.
    pub(crate) board: Board,
    pub(crate) notifier: Notifier,
    /// What each call is on lines, as their owners were told.
    pub(crate) lines_told: BTreeMap<CallId, LinesTold>,
    pub(crate) owed: Vec<Owed>,
    next_call: u64,
    pub(crate) layer: Layer<Hop>,
    purposes: BTreeMap<ClientKey, Purpose>,
    serving: BTreeMap<ServerKey, CallId>,
    /// By our own tag, which nobody can guess.
    dialogs: BTreeMap<String, (CallId, Side)>,
    belongings: BTreeMap<CallId, Belongings>,
    /// Anchored media.
    pub(crate) media: Desk,
    /// Tags of calls that have moved to another shard.
    forwards: BTreeMap<String, ShardId>,
}

impl Held {
    /// Of an edge that begins. `secret` keeps strangers from choosing names that lie badly in its tables.
    pub(crate) fn new(place: Place, secret: [u8; 32]) -> Held {
        let spread = secret.first_chunk().copied().unwrap_or_default();
        let cluster = match place {
            Place::ClusterServer => ClusterSide::Up,
            Place::Node | Place::Independent => ClusterSide::Down,
        };
        Held {
            cluster,
            draining: false,
            owners: Owners::new(Key::of(secret)),
            board: Board::default(),
            notifier: Notifier::default(),
            lines_told: BTreeMap::new(),
            owed: Vec::new(),
            next_call: 1,
            layer: Layer::keyed(Limits::default(), spread),
            purposes: BTreeMap::new(),
            serving: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            belongings: BTreeMap::new(),
            media: Desk::default(),
            forwards: BTreeMap::new(),
        }
    }
}

/// Everything of a shard but its sessions.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: ShardId,
    pub(crate) sorter: Sorter,
    pub(crate) config: Arc<EdgeConfig>,
    /// The records in force, shared by all shards.
    pub(crate) tables: Arc<Tables>,
    pub(crate) tokens: Names,
    /// Keys of media, and the order of its ports.
    pub(crate) secrets: Tokens,
    pub(crate) brake: Brake,
    pub(crate) challenger: Challenger,
    pub(crate) held: Held,
    /// INVITEs that travel to an owner and back, and whether they were cancelled meanwhile.
    away: BTreeMap<ServerKey, bool>,
    /// What the transactions said in this turn and nobody has heard yet.
    pub(crate) events: VecDeque<LayerOutput<Hop>>,
    /// What sessions asked in this turn and nobody has taken up yet.
    pub(crate) asks: VecDeque<Ask>,
}

impl Core {
    /// `seed` is fresh random bytes of this shard's own.
    pub(crate) fn new(
        id: ShardId,
        config: &Arc<EdgeConfig>,
        keys: &Keys,
        held: Held,
        seed: [u8; 32],
    ) -> Core {
        Core {
            id,
            sorter: Sorter::new(keys.spread, keys.seal, config.shards),
            config: Arc::clone(config),
            tables: Arc::default(),
            tokens: Names::new(id, keys.seal, seed),
            secrets: Tokens::new(seed),
            brake: Brake::default(),
            challenger: Challenger::new(&config.realm, keys.nonces, id.0),
            held,
            away: BTreeMap::new(),
            events: VecDeque::new(),
            asks: VecDeque::new(),
        }
    }

    /// True when the owner of `extension` is in this shard.
    pub(crate) fn owns(&self, extension: &Extension) -> bool {
        self.sorter.owner_of(extension.as_str()) == self.id
    }

    /// What this shard may hold of what the edge may: callers and calls are spread evenly.
    pub(crate) fn share(&self, of_edge: usize) -> usize {
        of_edge.div_ceil(usize::from(self.sorter.shards()))
    }

    /// An INVITE goes to an owner and comes back.
    pub(crate) fn away(&mut self, key: &ServerKey) {
        self.away.entry(key.clone()).or_default();
    }

    /// Its CANCEL is here before it.
    pub(crate) fn cancelled_away(&mut self, key: &ServerKey) {
        if let Some(cancelled) = self.away.get_mut(key) {
            *cancelled = true;
        }
    }

    /// It is back for good. True when it was cancelled meanwhile.
    pub(crate) fn is_back(&mut self, key: &ServerKey) -> bool {
        self.away.remove(key).unwrap_or_default()
    }

    /// The SIP domain of the phones' addresses.
    pub(crate) fn domain(&self) -> &str {
        self.tables.cluster().map_or(self.config.realm.as_str(), |cluster| cluster.domain.as_str())
    }

    /// What lies above this member right now.
    pub(crate) fn uplink(&self) -> Uplink {
        match (self.config.place, self.held.cluster) {
            (Place::Independent, _) => Uplink::None,
            (Place::ClusterServer, _) => Uplink::OwnLocation,
            (Place::Node, ClusterSide::Up) => Uplink::Connected,
            (Place::Node, ClusterSide::Down) => Uplink::Lost,
        }
    }

    /// True while what is sent to `hop` may arrive.
    pub(crate) fn carries(&self, hop: &Hop) -> bool {
        !hop.is_cluster() || self.held.cluster == ClusterSide::Up
    }

    /// True for a host that means this member, or the whole of which it is a part.
    pub(crate) fn is_ours(&self, host: &Host) -> bool {
        self.names_us(host.as_ref())
    }

    /// The same for a host where it stands in a message.
    pub(crate) fn names_us(&self, host: HostRef<'_>) -> bool {
        let config = &self.config;
        host.address().is_some()
            || host.is(&config.realm)
            || host.is(self.domain())
            || host.is(&config.member_host())
            || config.aliases.iter().any(|alias| host.is(alias))
    }

    /// The call and side that our tag names.
    pub(crate) fn dialog(&self, tag: &str) -> Option<(CallId, Side)> {
        self.held.dialogs.get(tag).copied()
    }

    /// The call a server transaction belongs to.
    pub(crate) fn call_served(&self, key: &ServerKey) -> Option<CallId> {
        self.held.serving.get(key).copied()
    }

    /// What a client transaction is for.
    pub(crate) fn purpose(&self, key: &ClientKey) -> Option<&Purpose> {
        self.held.purposes.get(key)
    }

    /// A client transaction is over.
    pub(crate) fn settle(&mut self, key: &ClientKey) {
        if let Some(call) = self.held.purposes.remove(key).and_then(|purpose| purpose.call())
            && let Some(belongings) = self.held.belongings.get_mut(&call)
        {
            belongings.clients.remove(key);
        }
    }

    /// A client transaction is for something else from now on.
    pub(crate) fn repurpose(&mut self, key: &ClientKey, purpose: Purpose) {
        if self.held.purposes.contains_key(key) {
            self.settle(key);
            if let Some(call) = purpose.call() {
                self.held.belongings.entry(call).or_default().clients.insert(key.clone());
            }
            self.held.purposes.insert(key.clone(), purpose);
        }
    }

    /// A branch is given up. Its late 2xx is nobody's, and is hung up.
    pub(crate) fn drop_branch(&mut self, key: &ClientKey, invite: &Message) {
        self.settle(key);
        if let Some(tag) = invite.from_tag()
            && let Some((call, _)) = self.held.dialogs.remove(tag)
            && let Some(belongings) = self.held.belongings.get_mut(&call)
        {
            belongings.tags.remove(tag);
        }
    }

    /// A name for a new call, unique in the edge.
    pub(crate) fn name_call(&mut self) -> CallId {
        let shards = u64::from(self.sorter.shards());
        let call = CallId(self.held.next_call * shards + u64::from(self.id.0));
        self.held.next_call += 1;
        call
    }

    /// `tag` names that side of the call from now on.
    pub(crate) fn bind_tag(&mut self, tag: &str, call: CallId, side: Side) {
        if let Some((before, _)) = self.held.dialogs.insert(tag.to_owned(), (call, side))
            && let Some(belongings) = self.held.belongings.get_mut(&before)
        {
            belongings.tags.remove(tag);
        }
        self.held.belongings.entry(call).or_default().tags.insert(tag.to_owned());
    }

    /// What becomes of the server transaction is told to the call from now on.
    pub(crate) fn bind_server(&mut self, key: &ServerKey, call: CallId) {
        self.held.serving.insert(key.clone(), call);
        self.held.belongings.entry(call).or_default().servers.insert(key.clone());
    }

    /// The call is counted as begun by this subscriber.
    pub(crate) fn counts_for(&mut self, call: CallId, caller: Option<Extension>) {
        self.held.belongings.entry(call).or_default().caller = caller;
    }

    /// The call is on disk under this name from now on, or nowhere. Returns where it was.
    pub(crate) fn is_kept(&mut self, call: CallId, name: Option<String>) -> Option<String> {
        let belongings = self.held.belongings.get_mut(&call)?;
        std::mem::replace(&mut belongings.kept, name)
    }

    /// The client transactions of a call that are not over.
    pub(crate) fn clients_of(&self, call: CallId) -> Vec<ClientKey> {
        let belongings = self.held.belongings.get(&call);
        belongings.map(|belongings| belongings.clients.iter().cloned().collect()).unwrap_or_default()
    }

    /// The call is over, or elsewhere from now on: nothing is told to it any more. Returns its tags, and who is counted as
    /// having begun it.
    pub(crate) fn part_with(&mut self, call: CallId) -> (Vec<(String, Side)>, Option<Extension>) {
        let Some(belongings) = self.held.belongings.remove(&call) else { return (Vec::new(), None) };
        for key in &belongings.clients {
            self.held.purposes.remove(key);
        }
        for key in &belongings.servers {
            self.held.serving.remove(key);
        }
        let dialogs = &mut self.held.dialogs;
        let sides = belongings.tags.into_iter().filter_map(|tag| {
            let (_, side) = dialogs.remove(&tag)?;
            Some((tag, side))
        });
        (sides.collect(), belongings.caller)
    }

    /// What comes for `tag` goes on to that shard.
    pub(crate) fn forward(&mut self, tag: &str, to: ShardId) {
        self.held.forwards.insert(tag.to_owned(), to);
    }

    /// Nothing comes for `tag` that has to go on.
    pub(crate) fn forward_no_more(&mut self, tag: &str) {
        self.held.forwards.remove(tag);
    }

    /// Where what comes for `tag` goes on to.
    pub(crate) fn forward_of(&self, tag: &str) -> Option<ShardId> {
        self.held.forwards.get(tag).copied()
    }

    /// Where a request goes on to, since the dialog it names has moved there.
    pub(crate) fn forwarded(&self, request: &Message) -> Option<ShardId> {
        if self.held.forwards.is_empty() {
            return None;
        }
        named_tags(request).find_map(|tag| self.forward_of(&tag))
    }
}

/// One step of a shard.
pub(crate) struct Turn<'a> {
    pub(crate) now: Duration,
    pub(crate) core: &'a mut Core,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Turn<'_> {
    /// Hands one input to the transactions.
    pub(crate) fn transact(&mut self, input: LayerInput<Hop>) {
        let mut said = Vec::new();
        self.core.held.layer.handle(self.now, input, &mut said);
        self.core.events.extend(said);
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, key: &ServerKey, response: Response) {
        match response.message() {
            Ok(response) => self.transact(LayerInput::Respond { key: key.clone(), response }),
            Err(fault) => self.fault(Fault::Unbuildable(fault.to_string())),
        }
    }

    /// Refuses a request of somebody who has proven nothing: once, and nothing of it is kept, so that a forged source
    /// is sent one packet for one and a flood costs no memory.
    pub(crate) fn dismiss(&mut self, key: &ServerKey, response: Response) {
        match response.message() {
            Ok(response) => self.transact(LayerInput::Dismiss { key: key.clone(), response }),
            Err(fault) => self.fault(Fault::Unbuildable(fault.to_string())),
        }
    }

    /// The same with a status and nothing more.
    pub(crate) fn dismiss_with(&mut self, key: &ServerKey, request: &Message, status: Status) {
        let response = self.answer_to(request, status);
        self.dismiss(key, response);
    }

    /// Answers a request with a status and nothing more; the dialog's tag, if any, is in the request.
    pub(crate) fn answer(&mut self, key: &ServerKey, request: &Message, status: Status) {
        let response = self.answer_to(request, status);
        self.respond(key, response);
    }

    /// A response with a tag of its own, if the request has none to give back.
    pub(crate) fn answer_to(&mut self, request: &Message, status: Status) -> Response {
        let response = Response::to(request, status);
        match request.to_tag() {
            Some(_) => response,
            None => response.to_tag(&self.core.tokens.tag()),
        }
    }

    /// Answers with a cause: its status, and the Reason header.
    pub(crate) fn refuse(&mut self, key: &ServerKey, request: &Message, cause: Cause) {
        let response = self.answer_to(request, status_of(cause));
        self.respond(key, response.header(Name::Reason, headers::reason_of(cause)));
    }

    /// Sends a request. `None` when it could not be built or begun.
    pub(crate) fn request(
        &mut self,
        to: &Hop,
        request: Request,
        purpose: Purpose,
    ) -> Option<(ClientKey, Message)> {
        match request.message() {
            Ok(message) => {
                let key = self.send(to, message.clone(), purpose);
                Some((key, message))
            }
            Err(fault) => {
                self.fault(Fault::Unbuildable(fault.to_string()));
                None
            }
        }
    }

    /// Sends a request that is built already.
    pub(crate) fn send(&mut self, to: &Hop, message: Message, purpose: Purpose) -> ClientKey {
        let key = ClientKey::of(&message);
        if let Some(call) = purpose.call() {
            self.core.held.belongings.entry(call).or_default().clients.insert(key.clone());
        }
        self.core.held.purposes.insert(key.clone(), purpose);
        self.transact(LayerInput::Request { to: to.clone(), request: message });
        key
    }

    /// Sends the ACK of a 2xx; the transactions repeat it when the 2xx comes again.
    pub(crate) fn acknowledge(&mut self, key: &ClientKey, to: &Hop, ack: Request) {
        match ack.message() {
            Ok(ack) => self.transact(LayerInput::Acknowledge { key: key.clone(), to: to.clone(), ack }),
            Err(fault) => self.fault(Fault::Unbuildable(fault.to_string())),
        }
    }

    /// A Via of ours with a new branch.
    pub(crate) fn via(&mut self, to: &Hop) -> Via {
        let branch = self.core.tokens.branch();
        match to {
            Hop::Phone(flow) => {
                let host = Host::from(flow.local.ip());
                Via::new(flow.transport.as_str(), host, Some(flow.local.port()), &branch).with_rport()
            }
            Hop::Cluster => Via::new("TLS", Host::Name(self.core.config.member_host()), None, &branch),
        }
    }

    /// Our Contact towards `to`: for a phone the address it talks to, for the cluster the name of this member.
    pub(crate) fn contact(&self, to: &Hop, user: &str) -> NameAddr {
        let uri = match to {
            Hop::Phone(flow) => {
                let uri = Uri::sip(user, Host::from(flow.local.ip())).with_port(flow.local.port());
                match flow.transport {
                    Transport::Udp => uri,
                    Transport::Tcp => uri.with_param("transport", Some("tcp")),
                    Transport::Tls => uri.with_param("transport", Some("tls")),
                }
            }
            Hop::Cluster => Uri::sip(user, Host::Name(self.core.config.member_host())),
        };
        NameAddr::new(uri)
    }

    /// Asks something of the shard. The answer comes as an event.
    pub(crate) fn ask(&mut self, ask: Ask) {
        self.core.asks.push_back(ask);
    }

    /// Reports a fault.
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.out.push(Output::Fault(fault));
    }
}

/// The methods that are passed from one side of a call to the other as they are.
pub(crate) fn passes_through(method: &Method) -> bool {
    matches!(method, Method::Info | Method::Message)
}
