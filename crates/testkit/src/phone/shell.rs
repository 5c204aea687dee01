//! The phone on real sockets: one task that owns the machine, the wire and the media.

use super::ladder::{LADDER_LINES_MAX, Rung};
use super::machine::{Command, Event, Input, Line, Machine, Output};
use super::report::Report;
use super::sound::Sound;
use super::ways::{NEXT_AFTER, Ways};
use super::wire::{Arrival, Wire};
use super::{Options, PhoneError};
use media::sdp::Negotiated;
use sip::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

/// Events nobody has looked at; later ones are dropped and said so.
const EVENTS_WAITING_MAX: usize = 1_024;
/// Orders on their way to the task.
const ORDERS_WAITING_MAX: usize = 64;
/// The time of one packet.
const PACKET: Duration = Duration::from_millis(20);
/// How long a polite goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the handle asks of the task.
enum Order {
    Command(Command),
    Press(String),
    Report(oneshot::Sender<Report>),
}

/// A running phone. Dropping it switches it off without a word, as pulling its plug does.
pub struct Phone {
    extension: String,
    tone_hz: u16,
    local: SocketAddr,
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Phone {
    /// Switches a phone on. It says nothing until it is told to.
    ///
    /// # Errors
    /// [`PhoneError::Registrar`] or [`PhoneError::Socket`].
    pub async fn start(options: &Options) -> Result<Phone, PhoneError> {
        let fault =
            |error| PhoneError::Registrar { registrar: options.registrar.clone(), source: Arc::new(error) };
        let mut ways = Ways::of(options).await?;
        let wire = ways.open().await.map_err(fault)?;
        let flow = wire.flow().ok_or(PhoneError::Off)?;
        let rtp = UdpSocket::bind(SocketAddr::new(flow.local.ip(), 0)).await?;
        let line = Line {
            extension: options.extension.clone(),
            password: options.password.clone(),
            domain: options.domain().to_owned(),
            expires_s: options.expires_s,
            media: rtp.local_addr()?,
        };
        let tone_hz = match options.tone_hz {
            Some(hz) => hz,
            None => random_tone()?,
        };
        let (orders, taken) = mpsc::channel(ORDERS_WAITING_MAX);
        let (told, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let engine = Engine {
            clock: Clock::start(),
            machine: Machine::new(line, flow, random()?),
            wire,
            ways,
            heard_by: None,
            rtp,
            sound: Sound::new(tone_hz, random()?),
            agreed: None,
            report: Report { extension: options.extension.clone(), tone_hz, ..Report::default() },
            events: told,
            pace: pace(),
        };
        let task = tokio::spawn(engine.live(taken));
        Ok(Phone { extension: options.extension.clone(), tone_hz, local: flow.local, orders, events, task })
    }

    /// Its number.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Where it spoke from when it was switched on.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The tone it sends.
    #[must_use]
    pub fn tone_hz(&self) -> u16 {
        self.tone_hz
    }

    /// Gives it a command; what comes of it is told by events.
    ///
    /// # Errors
    /// [`PhoneError::Off`].
    pub async fn command(&self, command: Command) -> Result<(), PhoneError> {
        self.orders.send(Order::Command(command)).await.map_err(|_| PhoneError::Off)
    }

    /// Presses keys in the call.
    ///
    /// # Errors
    /// [`PhoneError::Off`].
    pub async fn press(&self, keys: &str) -> Result<(), PhoneError> {
        self.orders.send(Order::Press(keys.to_owned())).await.map_err(|_| PhoneError::Off)
    }

    /// Registers and waits until it is.
    ///
    /// # Errors
    /// [`PhoneError::NotRegistered`] with the status, 408 when nobody answered in time.
    pub async fn register(&mut self, patience: Duration) -> Result<u32, PhoneError> {
        self.command(Command::Register).await?;
        let wanted =
            |event: &Event| matches!(event, Event::Registered { .. } | Event::RegistrationRefused { .. });
        let extension = self.extension.clone();
        let refused = |status| PhoneError::NotRegistered { extension, status };
        match self.wait_for("a registration", patience, wanted).await {
            Ok(Event::Registered { expires_s }) => Ok(expires_s),
            Ok(Event::RegistrationRefused { status }) => Err(refused(status)),
            Err(PhoneError::TimedOut { .. }) => Err(refused(408)),
            Ok(_) | Err(_) => Err(PhoneError::Off),
        }
    }

    /// Waits for an event; those before it are passed over.
    ///
    /// # Errors
    /// [`PhoneError::Ended`] when the call ends first (and its end is not what is waited for),
    /// [`PhoneError::TimedOut`].
    pub async fn wait_for(
        &mut self,
        waiting: &'static str,
        patience: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, PhoneError> {
        let extension = self.extension.clone();
        let seek = async {
            while let Some(event) = self.events.recv().await {
                match event {
                    event if wanted(&event) => return Ok(event),
                    Event::Ended(end) => {
                        return Err(PhoneError::Ended { extension: extension.clone(), waiting, end });
                    }
                    _ => {}
                }
            }
            Err(PhoneError::Off)
        };
        let timed_out = Err(PhoneError::TimedOut { extension: extension.clone(), waiting });
        tokio::time::timeout(patience, seek).await.unwrap_or(timed_out)
    }

    /// What it has done and heard until now.
    ///
    /// # Errors
    /// [`PhoneError::Off`].
    pub async fn report(&self) -> Result<Report, PhoneError> {
        let (sender, answer) = oneshot::channel();
        self.orders.send(Order::Report(sender)).await.map_err(|_| PhoneError::Off)?;
        answer.await.map_err(|_| PhoneError::Off)
    }

    /// Removes its registration and switches it off.
    ///
    /// # Errors
    /// [`PhoneError::Off`].
    pub async fn close(mut self) -> Result<Report, PhoneError> {
        self.command(Command::Unregister).await?;
        let gone = |event: &Event| matches!(event, Event::Unregistered | Event::RegistrationRefused { .. });
        // A registrar that does not answer any more is no reason to stay.
        let _ = self.wait_for("its goodbye", GOODBYE, gone).await;
        self.report().await
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The steady clock: the wall clock read once, carried on by the monotonic one.
struct Clock {
    epoch: Duration,
    start: Instant,
}

impl Clock {
    fn start() -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { epoch, start: Instant::now() }
    }

    fn now(&self) -> Duration {
        self.epoch + self.start.elapsed()
    }

    fn until(&self, at: Duration) -> Duration {
        at.saturating_sub(self.now())
    }
}

struct Engine {
    clock: Clock,
    machine: Machine,
    wire: Wire,
    ways: Ways,
    /// While the server in use was not heard yet: when it is given up for the next one.
    heard_by: Option<tokio::time::Instant>,
    rtp: UdpSocket,
    sound: Sound,
    agreed: Option<Negotiated>,
    report: Report,
    events: mpsc::Sender<Event>,
    pace: Interval,
}

/// One turn's happening.
enum Turn {
    Order(Option<Order>),
    Arrival(Arrival),
    Rtp(usize),
    Pace,
    Timeout,
    Unheard,
}

impl Engine {
    async fn live(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut packet = [0; 2048];
        loop {
            let timeout =
                self.machine.next_timeout().map_or(Duration::from_secs(3600), |at| self.clock.until(at));
            let turn = tokio::select! {
                order = orders.recv() => Turn::Order(order),
                arrival = self.wire.receive() => Turn::Arrival(arrival),
                length = self.rtp.recv(&mut packet) => Turn::Rtp(length.unwrap_or(0)),
                _ = self.pace.tick(), if self.agreed.is_some() => Turn::Pace,
                () = tokio::time::sleep(timeout) => Turn::Timeout,
                () = until(self.heard_by), if self.ways.more() => Turn::Unheard,
            };
            match turn {
                Turn::Order(None) => return,
                Turn::Order(Some(order)) => self.order(order).await,
                Turn::Arrival(arrival) => self.arrival(arrival).await,
                Turn::Rtp(length) => self.hear(packet.get(..length).unwrap_or_default()),
                Turn::Pace => self.speak().await,
                Turn::Timeout => self.input(Input::Tick).await,
                Turn::Unheard => self.move_on().await,
            }
        }
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Command(command) => {
                if command == Command::Register {
                    self.heard_by = Some(tokio::time::Instant::now() + NEXT_AFTER);
                }
                self.input(Input::Command(command)).await;
            }
            Order::Press(keys) => self.sound.press(&keys),
            Order::Report(answer) => {
                self.report.listen(self.sound.account());
                // Who asked may have gone.
                let _ = answer.send(self.report.clone());
            }
        }
    }

    async fn arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Lost => {}
            Arrival::Connected(flow) => self.input(Input::FlowChanged(flow)).await,
            Arrival::Unreachable => {
                let connection = self.wire.flow().is_none();
                if self.ways.more() && (connection || self.heard_by.is_some()) {
                    self.move_on().await;
                }
            }
            Arrival::Messages(messages) => {
                if !messages.is_empty() {
                    self.heard_by = None;
                }
                for message in messages {
                    self.rung(false, &message);
                    self.input(Input::Received(message)).await;
                }
            }
        }
    }

    async fn input(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut out = Vec::new();
            self.machine.handle(self.clock.now(), input, &mut out);
            for output in out {
                match output {
                    Output::Send(bytes) => {
                        if let Ok(message) = Message::parse(&bytes) {
                            self.rung(true, &message);
                        }
                        self.wire.send(&bytes).await;
                    }
                    Output::Media(agreed) => self.agree(agreed),
                    // A server that fails is no refusal while there is another one (RFC 3263 § 4.3).
                    Output::Event(Event::RegistrationRefused { status: 408 | 503 }) if self.ways.more() => {
                        next = self.elsewhere().await;
                    }
                    Output::Event(event) => self.tell(event),
                }
            }
        }
    }

    /// Goes to the next server; the machine registers there.
    async fn move_on(&mut self) {
        if let Some(input) = self.elsewhere().await {
            self.input(input).await;
        }
    }

    async fn elsewhere(&mut self) -> Option<Input> {
        self.heard_by = None;
        self.wire = self.ways.next().await?;
        self.heard_by = Some(tokio::time::Instant::now() + NEXT_AFTER);
        self.wire.flow().map(Input::FlowChanged)
    }

    fn agree(&mut self, agreed: Option<Negotiated>) {
        if agreed.is_none() || self.agreed.is_none() {
            self.pace = pace();
        }
        if agreed.is_none_or(|agreed| !agreed.direction.receives()) {
            self.sound.paused();
        }
        self.agreed = agreed;
    }

    fn tell(&mut self, event: Event) {
        self.report.note(&event);
        if matches!(event, Event::Registered { .. }) {
            self.ways.works();
            let at = self.wire.flow().map(|flow| format!("{} {}", flow.transport.as_str(), flow.remote));
            self.report.server = at.or(self.report.server.take());
        }
        if self.events.try_send(event).is_err() {
            tracing::debug!(extension = self.report.extension, "nobody listens to the phone's events");
        }
    }

    fn rung(&mut self, sent: bool, message: &Message) {
        if self.report.ladder.len() < LADDER_LINES_MAX {
            self.report.ladder.push(Rung::of(self.clock.now(), sent, message));
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(agreed) = self.agreed.filter(|_| !bytes.is_empty()) {
            self.sound.hear(self.clock.now(), &agreed, bytes);
        }
    }

    async fn speak(&mut self) {
        let Some(agreed) = self.agreed else { return };
        if let Some(packet) = self.sound.speak(&agreed) {
            // Lost media are lost, as on any network.
            let _ = self.rtp.send_to(&packet, agreed.remote).await;
        }
    }
}

/// Never, when there is no such instant.
async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn pace() -> Interval {
    let mut pace = tokio::time::interval(PACKET);
    // A late turn is made up for, so that a busy machine sends late packets and not fewer.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

fn random<const N: usize>() -> Result<[u8; N], PhoneError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| PhoneError::Random)?;
    Ok(bytes)
}

fn random_tone() -> Result<u16, PhoneError> {
    let [byte] = random()?;
    Ok(400 + 20 * (u16::from(byte) % 80))
}
