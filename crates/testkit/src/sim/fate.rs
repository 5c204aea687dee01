//! What befalls the world: cuts, deaths, clean restarts, power losses, commits, and people who take up the phone.

use super::disk::Write;
use super::landscape;
use super::sabotage::Sabotage;
use super::world::{Event, Fate, Who, World};
use ipbx::member::{Input, LinkInput};

impl World {
    pub(super) fn befall(&mut self, fate: Fate) {
        self.trace.note(self.now, || format!("{fate:?}"));
        match fate {
            Fate::Cut(number) => drop(self.cut.insert(number)),
            Fate::Heal(number) => self.heal(number),
            Fate::Crash(number) => self.crash(number),
            Fate::Freeze(number) => self.freeze(number),
            Fate::Start(number) => self.start(number),
            Fate::Unplug(index) => self.plug_in(index),
            Fate::Dial(index) => self.dial_somebody(index),
            Fate::Commit => self.commit(),
        }
    }

    fn dial_somebody(&mut self, index: usize) {
        let Some(desk) = self.desks.get_mut(index) else { return };
        if !desk.busy && desk.registered && desk.machine.is_idle() {
            for (after, act) in desk.dials(index, &mut self.chance) {
                self.after(after, Event::Act(act));
            }
        }
    }

    fn commit(&mut self) {
        if self.hosts.get(&0).is_none_or(|host| host.process.is_none()) {
            return;
        }
        self.revision += 1;
        let changes = landscape::commit(self.revision, &mut self.chance);
        if self.broken == Some(Sabotage::CommitAcknowledgedEarly) {
            self.ledger.acknowledged(self.revision, &changes);
        }
        self.write(0, Write::Commit { revision: self.revision, changes });
    }

    fn crash(&mut self, number: u16) {
        let Some(host) = self.hosts.get_mut(&number) else { return };
        let Some(process) = host.process.take() else { return };
        self.coverage.take(&process.link);
        host.disk.crash(&mut self.chance);
        self.ledger.crashed(self.now, number, &process.calls.edge().calls());
        self.media_gone(number);
        self.reset_streams(number);
        self.look_at_timers_of(number);
        let delay = self.chance.ms(100, 4_000);
        self.after(delay, Event::Fate(Fate::Start(number)));
    }

    fn freeze(&mut self, number: u16) {
        if self.hosts.get(&number).is_none_or(|host| host.process.is_none()) {
            return;
        }
        self.tell(number, Input::Link(LinkInput::Stop));
        let Some(host) = self.hosts.get_mut(&number) else { return };
        let Some(process) = host.process.take() else { return };
        self.coverage.take(&process.link);
        match process.calls.freeze() {
            Ok(bytes) => host.disk.frozen = Some(bytes),
            Err(fault) => self.ledger.broke(self.now, format!("n{number} cannot be frozen: {fault}")),
        }
        self.media_gone(number);
        // A clean stop waits for its writes, and for what they acknowledge.
        while let Some(done) = self.hosts.get(&number).and_then(|host| host.disk.next_done()) {
            self.now = self.now.max(done);
            self.written(number);
        }
        self.reset_streams(number);
        self.look_at_timers_of(number);
        let delay = self.chance.ms(5, 500);
        self.after(delay, Event::Fate(Fate::Start(number)));
    }

    pub(super) fn start(&mut self, number: u16) {
        let Some(host) = self.hosts.get_mut(&number).filter(|host| host.process.is_none()) else { return };
        let mut out = Vec::new();
        host.start(self.now, &mut self.chance, self.broken, &mut out);
        if number == 0 {
            self.revision = host.disk.position.revision;
        }
        self.ledger.started(self.now, host);
        self.look_at_timers_of(number);
        self.outputs(number, out);
    }

    fn look_at_timers_of(&mut self, number: u16) {
        self.look_at_timer(Who::Process(number));
        self.look_at_timer(Who::Disk(number));
    }
}
