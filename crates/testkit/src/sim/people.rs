//! The people and their phones: who calls whom, how long it rings, who hangs up. The phones are the soft phone of
//! this crate, unchanged.

use super::chance::Chance;
use super::host::{Host, octet};
use crate::phone::machine::{Line, Machine};
use crate::phone::{Command, Event};
use sip::{Flow, Transport};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Extension and member of every phone: those of the demo.
pub(super) const PHONES: [(&str, u16); 6] =
    [("2001", 0), ("2002", 0), ("2101", 1), ("2102", 1), ("2201", 2), ("2202", 2)];
/// Digits that lead to no phone: unallocated, barred, an emergency.
const ODD_NUMBERS: [&str; 3] = ["2999", "00331", "112"];

/// A phone and the person at it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) extension: &'static str,
    pub(super) home: u16,
    pub(super) machine: Machine,
    pub(super) flow: Flow,
    /// Counts calls, so that what somebody meant to do in one is not done in the next.
    pub(super) call: u64,
    /// True from its first to its last moment in a call, as the person sees it.
    pub(super) busy: bool,
    pub(super) talking: bool,
    pub(super) registered: bool,
    /// How often the process of its edge had died when this call was answered.
    pub(super) crashes_then: u64,
}

/// What somebody does next, and in which of their calls.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) desk: usize,
    pub(super) call: u64,
    pub(super) command: Command,
}

impl Desk {
    pub(super) fn new(index: usize, home: &Host, chance: &mut Chance) -> Desk {
        let (extension, number) = PHONES.get(index).copied().unwrap_or(("2001", 0));
        let place = octet(u16::try_from(index).unwrap_or(0)) + 10;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, octet(number), place));
        let flow = Flow {
            transport: Transport::Udp,
            local: SocketAddr::new(ip, 5060),
            remote: home.address(),
            connection: 0,
        };
        let line = Line {
            extension: extension.to_owned(),
            password: secret(extension),
            domain: super::landscape::DOMAIN.to_owned(),
            expires_s: 120,
            media: SocketAddr::new(ip, 4000),
        };
        let machine = Machine::new(line, flow, chance.seed());
        let (call, busy, talking, registered) = (0, false, false, false);
        Desk { extension, home: number, machine, flow, call, busy, talking, registered, crashes_then: 0 }
    }

    /// Notes what the person sees, and says what they will do about it, after how long.
    pub(super) fn sees(
        &mut self,
        desk: usize,
        event: &Event,
        quiet: bool,
        chance: &mut Chance,
    ) -> Vec<(Duration, Act)> {
        match event {
            Event::Registered { .. } => self.registered = true,
            Event::Unregistered | Event::RegistrationRefused { .. } => self.registered = false,
            Event::Incoming { .. } => {
                self.call += 1;
                self.busy = true;
                return self.ringing(desk, chance);
            }
            Event::Answered => {
                self.busy = true;
                self.talking = true;
                return self.talk(desk, quiet, chance);
            }
            Event::Ended(_) => {
                self.call += 1;
                self.busy = false;
                self.talking = false;
            }
            Event::Progress { .. }
            | Event::Changed { .. }
            | Event::ChangeRefused { .. }
            | Event::Lamp { .. } => {}
        }
        Vec::new()
    }

    /// Dials somebody, and gives up if nobody answers.
    pub(super) fn dials(&mut self, desk: usize, chance: &mut Chance) -> Vec<(Duration, Act)> {
        self.call += 1;
        self.busy = true;
        let others: Vec<&str> =
            PHONES.iter().map(|(number, _)| *number).filter(|number| *number != self.extension).collect();
        let pool: &[&str] = if chance.percent(8) { &ODD_NUMBERS } else { &others };
        let number = (*chance.one_of(pool).unwrap_or(&"2001")).to_owned();
        let patience = chance.ms(300, 25_000);
        let act = |after, command| (after, Act { desk, call: self.call, command });
        vec![act(Duration::ZERO, Command::Call(number)), act(patience, Command::HangUp)]
    }

    fn ringing(&self, desk: usize, chance: &mut Chance) -> Vec<(Duration, Act)> {
        let command = match chance.below(100) {
            0..70 => Command::Answer,
            70..80 => Command::Reject(486),
            80..88 => Command::HangUp,
            // Nobody is there.
            _ => return Vec::new(),
        };
        vec![(chance.ms(100, 8_000), Act { desk, call: self.call, command })]
    }

    /// Most talk for a while; some talk until the end of the story, so that it has calls to look at.
    fn talk(&mut self, desk: usize, quiet: bool, chance: &mut Chance) -> Vec<(Duration, Act)> {
        self.call += 1;
        let mut acts = Vec::new();
        let mut act = |after, command| acts.push((after, Act { desk, call: self.call, command }));
        if chance.percent(25) {
            let at = chance.ms(500, 10_000);
            act(at, Command::Hold);
            act(at + chance.ms(500, 8_000), Command::Resume);
        }
        if quiet || chance.percent(55) {
            act(chance.ms(500, 40_000), Command::HangUp);
        }
        acts
    }
}

/// The password of a subscriber.
pub(super) fn secret(extension: &str) -> String {
    format!("secret-of-{extension}-0123456789")
}
