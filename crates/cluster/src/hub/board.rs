//! The board of lamps: what every member says of the lines of its phones, and who watches which of them.
//!
//! SUBSCRIBE never crosses the uplink (DESIGN § 5.1). A node tells which lines its phones watch, and is told of
//! those alone what the *other* members say; its own part it knows better. As everywhere on the link nothing is
//! queued: what is due to a watching member is a set of names, and a line that changes ten times while the
//! connection is full is shown once, as it is then.
//!
//! Of a line whose member is beyond a cut nothing is known, which is not the same as idle: the lamp says so until
//! that member has told all its lines again.

use super::catalogue::Catalogue;
use crate::link::Lamp;
use crate::wire::convert::{MalformedField, extension};
use crate::wire::{Lamps, Lines, Watch};
use model::{Extension, MemberNumber};
use std::collections::{BTreeMap, BTreeSet};

/// Lines a member may tell: twice the subscribers of the largest system.
const LINES_MAX: usize = 40_000;
/// Lines the phones of one member may watch. A member that asks for more breaks the protocol; edges refuse
/// their phones earlier.
const WATCHED_MAX: usize = 20_000;
/// Lamps in one message.
const LAMPS_BATCH_MAX: usize = 50;

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    members: BTreeMap<MemberNumber, Told>,
    /// Which members said something of a line, within reach or not.
    at: BTreeMap<Extension, BTreeSet<MemberNumber>>,
    /// Who watches a line.
    watchers: BTreeMap<Extension, BTreeSet<MemberNumber>>,
    views: BTreeMap<MemberNumber, View>,
    /// Members with something to be shown.
    due: BTreeSet<MemberNumber>,
}

/// What a member says of its own lines.
#[derive(Debug, Default)]
struct Told {
    lines: BTreeMap<Extension, Vec<u8>>,
    /// A full list on its way in.
    listing: Option<BTreeMap<Extension, Vec<u8>>>,
    /// Within reach, and all its lines are known.
    known: bool,
}

/// What a member watches, and was shown last.
#[derive(Debug, Default)]
struct View {
    watched: BTreeMap<Extension, Option<Lamp>>,
    due: BTreeSet<Extension>,
    /// A full list on its way in.
    listing: Option<BTreeSet<Extension>>,
}

impl Board {
    /// Nothing is known but that the cluster server's own lines are.
    pub(super) fn new() -> Board {
        let own = Told { known: true, ..Told::default() };
        Board {
            members: BTreeMap::from([(MemberNumber::CLUSTER_SERVER, own)]),
            at: BTreeMap::new(),
            watchers: BTreeMap::new(),
            views: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Lines of a node, as it sends them.
    pub(super) fn lines(&mut self, member: MemberNumber, said: Lines) -> Result<(), MalformedField> {
        if said.first {
            self.members.entry(member).or_default().listing = Some(BTreeMap::new());
        }
        for line in said.lines {
            self.note(member, extension(line.extension)?, Some(line.detail));
        }
        for gone in said.gone {
            self.note(member, extension(gone)?, None);
        }
        let told = self.members.entry(member).or_default();
        let held = told.lines.len().max(told.listing.as_ref().map_or(0, BTreeMap::len));
        if held > LINES_MAX {
            return Err(MalformedField("lines"));
        }
        if said.last
            && let Some(listing) = told.listing.take()
        {
            self.listed(member, listing);
        }
        Ok(())
    }

    /// A line of a member as it is now: into its full list if one is on its way.
    pub(super) fn note(&mut self, member: MemberNumber, extension: Extension, detail: Option<Vec<u8>>) {
        let told = self.members.entry(member).or_default();
        match (&mut told.listing, detail) {
            (Some(listing), Some(detail)) => drop(listing.insert(extension, detail)),
            (Some(listing), None) => drop(listing.remove(&extension)),
            (None, detail) => self.put(member, extension, detail),
        }
    }

    fn put(&mut self, member: MemberNumber, extension: Extension, detail: Option<Vec<u8>>) {
        let Some(told) = self.members.get_mut(&member) else { return };
        match detail {
            Some(detail) => {
                told.lines.insert(extension.clone(), detail);
                self.at.entry(extension.clone()).or_default().insert(member);
            }
            None => {
                told.lines.remove(&extension);
                if let Some(members) = self.at.get_mut(&extension) {
                    members.remove(&member);
                    if members.is_empty() {
                        self.at.remove(&extension);
                    }
                }
            }
        }
        self.mark(&extension);
    }

    /// All lines of a member are known: it says of all others that they are not there.
    fn listed(&mut self, member: MemberNumber, listing: BTreeMap<Extension, Vec<u8>>) {
        let before = self.members.get(&member).map(|told| told.lines.keys().cloned().collect());
        let before: Vec<Extension> = before.unwrap_or_default();
        for gone in before.into_iter().filter(|extension| !listing.contains_key(extension)) {
            self.put(member, gone, None);
        }
        for (extension, detail) in listing {
            self.put(member, extension, Some(detail));
        }
        if let Some(told) = self.members.get_mut(&member) {
            told.known = true;
        }
        // Lines at home there that have no phone were unknown until now, too.
        self.mark_all();
    }

    /// The link of a node is lost: what it said is out of date, and it watches nothing from here.
    pub(super) fn lost(&mut self, member: MemberNumber) {
        if let Some(told) = self.members.get_mut(&member) {
            told.known = false;
            told.listing = None;
        }
        self.watch_nothing(member);
        self.mark_all();
    }

    /// A node left the cluster.
    pub(super) fn forget(&mut self, member: MemberNumber) {
        let lines = self.members.get(&member).map(|told| told.lines.keys().cloned().collect());
        let lines: Vec<Extension> = lines.unwrap_or_default();
        for extension in lines {
            self.put(member, extension, None);
        }
        self.lost(member);
        self.members.remove(&member);
    }

    /// What the phones of a node watch, as it sends it.
    pub(super) fn watch(&mut self, member: MemberNumber, said: Watch) -> Result<(), MalformedField> {
        if said.first {
            self.views.entry(member).or_default().listing = Some(BTreeSet::new());
        }
        for begun in said.begun {
            let begun = extension(begun)?;
            if let Some(listing) = &mut self.views.entry(member).or_default().listing {
                listing.insert(begun.clone());
            }
            self.watches(member, begun, true);
        }
        for ended in said.ended {
            self.watches(member, extension(ended)?, false);
        }
        let view = self.views.entry(member).or_default();
        if view.watched.len() > WATCHED_MAX {
            return Err(MalformedField("begun"));
        }
        if said.last
            && let Some(listing) = view.listing.take()
        {
            let over = view.watched.keys().filter(|extension| !listing.contains(*extension));
            for extension in over.cloned().collect::<Vec<_>>() {
                self.watches(member, extension, false);
            }
        }
        Ok(())
    }

    /// A member watches a line, or does so no more. One that begins is shown it in any case.
    pub(super) fn watches(&mut self, member: MemberNumber, extension: Extension, begins: bool) {
        let view = self.views.entry(member).or_default();
        if begins {
            view.watched.insert(extension.clone(), None);
            view.due.insert(extension.clone());
            self.due.insert(member);
            self.watchers.entry(extension).or_default().insert(member);
            return;
        }
        view.watched.remove(&extension);
        view.due.remove(&extension);
        if let Some(watchers) = self.watchers.get_mut(&extension) {
            watchers.remove(&member);
            if watchers.is_empty() {
                self.watchers.remove(&extension);
            }
        }
    }

    fn watch_nothing(&mut self, member: MemberNumber) {
        let watched = self.views.get(&member).map(|view| view.watched.keys().cloned().collect());
        let watched: Vec<Extension> = watched.unwrap_or_default();
        for extension in watched {
            self.watches(member, extension, false);
        }
        self.views.remove(&member);
        self.due.remove(&member);
    }

    /// What every member says of its lines; none while it is beyond a cut.
    pub(super) fn lines_told(&self) -> impl Iterator<Item = (MemberNumber, &Extension, Option<&[u8]>)> {
        self.members.iter().flat_map(|(member, told)| {
            let known = told.known;
            let lines = told.lines.iter();
            lines.map(move |(extension, detail)| (*member, extension, known.then_some(detail.as_slice())))
        })
    }

    /// Members that have something to be shown.
    pub(super) fn due(&self) -> impl Iterator<Item = MemberNumber> {
        self.due.iter().copied()
    }

    /// The next lamps a member is to be shown: those that are not as it was told last.
    pub(super) fn next_lamps(&mut self, member: MemberNumber, catalogue: &Catalogue) -> Vec<Lamp> {
        let mut lamps = Vec::new();
        while lamps.len() < LAMPS_BATCH_MAX {
            let Some(extension) = self.views.get_mut(&member).and_then(|view| view.due.pop_first()) else {
                self.due.remove(&member);
                break;
            };
            let lamp = self.lamp(member, extension, catalogue);
            let Some(view) = self.views.get_mut(&member) else { break };
            if let Some(shown) = view.watched.get_mut(&lamp.extension)
                && shown.as_ref() != Some(&lamp)
            {
                *shown = Some(lamp.clone());
                lamps.push(lamp);
            }
        }
        lamps
    }

    /// The same as a message.
    pub(super) fn next_message(&mut self, member: MemberNumber, catalogue: &Catalogue) -> Option<Lamps> {
        let lamps = self.next_lamps(member, catalogue);
        (!lamps.is_empty()).then(|| Lamps { lamps: lamps.iter().map(Into::into).collect() })
    }

    /// A line as the members other than `watcher` know it. One that is known at a member within reach is known,
    /// though it may have a second phone beyond a cut.
    fn lamp(&self, watcher: MemberNumber, extension: Extension, catalogue: &Catalogue) -> Lamp {
        let known = |member: MemberNumber| self.members.get(&member).is_some_and(|told| told.known);
        let others = self.at.get(&extension).into_iter().flatten().copied();
        let others: Vec<MemberNumber> = others.filter(|member| *member != watcher).collect();
        let said: Vec<Vec<u8>> = others
            .iter()
            .filter(|member| known(**member))
            .filter_map(|member| self.members.get(member)?.lines.get(&extension).cloned())
            .collect();
        let home = catalogue.home_of(&extension).filter(|home| *home != watcher);
        let beyond = others.iter().copied().chain(home).any(|member| !known(member));
        let said = if said.is_empty() && beyond { None } else { Some(said) };
        Lamp { extension, said }
    }

    /// What is known of a line may be another lamp now.
    pub(super) fn mark(&mut self, extension: &Extension) {
        for watcher in self.watchers.get(extension).into_iter().flatten() {
            if let Some(view) = self.views.get_mut(watcher) {
                view.due.insert(extension.clone());
                self.due.insert(*watcher);
            }
        }
    }

    fn mark_all(&mut self) {
        for (member, view) in &mut self.views {
            if !view.watched.is_empty() {
                view.due = view.watched.keys().cloned().collect();
                self.due.insert(*member);
            }
        }
    }
}
