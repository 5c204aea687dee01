//! What the cluster server's link does for lamps, in the least form that is right: what each member says of its lines,
//! and what each one watches. The real one is `cluster::hub`.

use crate::world::home_of;
use call::{Line, MemberLines};
use model::Extension;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct LineBoard {
    lines: BTreeMap<u16, BTreeMap<Extension, Line>>,
    watched: BTreeMap<u16, BTreeSet<Extension>>,
}

impl LineBoard {
    /// A process begins: what the one before said is void.
    pub(crate) fn restart(&mut self, member: u16, lines: BTreeMap<Extension, Line>) {
        self.lines.insert(member, lines);
        self.watched.remove(&member);
    }

    pub(crate) fn put(&mut self, member: u16, changed: &[(Extension, Line)]) {
        let lines = self.lines.entry(member).or_default();
        for (extension, line) in changed {
            match line.is_nothing() {
                true => drop(lines.remove(extension)),
                false => drop(lines.insert(extension.clone(), line.clone())),
            }
        }
    }

    pub(crate) fn watch(&mut self, member: u16, extension: &Extension, begins: bool) {
        let watched = self.watched.entry(member).or_default();
        let changed = if begins { watched.insert(extension.clone()) } else { watched.remove(extension) };
        assert!(changed, "a member says once that it watches {extension}, and once that it does not");
    }

    pub(crate) fn watched(&self, member: u16) -> Vec<Extension> {
        self.watched.get(&member).into_iter().flatten().cloned().collect()
    }

    /// Who watches one of these lines, and which.
    pub(crate) fn watchers(&self, lines: &[Extension]) -> Vec<(u16, Extension)> {
        let of = |(member, watched): (&u16, &BTreeSet<Extension>)| {
            let member = *member;
            lines
                .iter()
                .filter(|line| watched.contains(*line))
                .map(move |line| (member, line.clone()))
                .collect()
        };
        self.watched.iter().flat_map(|pair| -> Vec<(u16, Extension)> { of(pair) }).collect()
    }

    /// A line as the members other than `watcher` know it, when `reaches` says who is within reach.
    pub(crate) fn lamp(&self, watcher: u16, line: &Extension, reaches: impl Fn(u16) -> bool) -> MemberLines {
        let others =
            self.lines.iter().filter(|(member, lines)| **member != watcher && lines.contains_key(line));
        let (within, beyond): (Vec<_>, Vec<_>) = others.partition(|(member, _)| reaches(**member));
        let said: Vec<Line> = within.iter().filter_map(|(_, lines)| lines.get(line).cloned()).collect();
        let home = home_of(line.as_str());
        let unknown = !beyond.is_empty() || (home != watcher && !reaches(home));
        (line.clone(), if said.is_empty() && unknown { None } else { Some(said) })
    }
}
