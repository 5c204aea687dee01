//! The data of the cluster as the link needs them: the records, who is to hold which, the sums of their
//! digests, and the last changes.
//!
//! It is a second copy of the records in memory beside the routing tables, on purpose: a snapshot is then a list
//! of pointers taken in no time at one revision, a catch-up never waits for a disk, and the machine stays pure.
//! 10,000 subscribers are about 5 MB.
//!
//! Interest is data (DESIGN § 5.2): a subscriber whose home moves *enters* one node's stream and *leaves*
//! another's at that revision. So the log keeps for each change who held the record before it.

use crate::digest::Digest;
use model::object::{Node, Object, Subscriber};
use model::{Change, Extension, Kind, MemberNumber, Position, Record, Scope};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Changes kept for nodes that were away; one that missed more takes a snapshot.
const LOG_CHANGES_MAX: usize = 20_000;
/// Bytes of values kept for the same purpose.
const LOG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who holds a record besides the cluster server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Audience {
    Everyone,
    Member(MemberNumber),
    Nobody,
}

impl Audience {
    fn of(record: &Record) -> Audience {
        match record.kind.scope() {
            Scope::Common => Audience::Everyone,
            Scope::Subscriber => match Subscriber::from_json(&record.key, &record.value) {
                Ok(subscriber) if subscriber.general_purpose => Audience::Everyone,
                Ok(subscriber) => Audience::Member(subscriber.home),
                // A record that cannot be read was refused at the door; nobody is served by spreading it.
                Err(_) => Audience::Nobody,
            },
            Scope::Local | Scope::Manager => Audience::Nobody,
        }
    }

    fn includes(self, member: MemberNumber) -> bool {
        match self {
            Audience::Everyone => true,
            Audience::Member(only) => only == member,
            Audience::Nobody => false,
        }
    }
}

/// A record with what is derived from it once.
#[derive(Debug, Clone)]
struct Held {
    record: Arc<Record>,
    audience: Audience,
    digest: Digest,
}

/// What was there before a change.
#[derive(Debug, Clone)]
enum Before {
    Absent,
    Held(Audience, Digest),
    /// The change was made before this process started.
    Unknown,
}

#[derive(Debug, Clone)]
struct Step {
    change: Change,
    before: Before,
    after: Option<(Audience, Digest)>,
}

#[derive(Debug, Clone)]
struct Commit {
    revision: u64,
    steps: Vec<Step>,
}

/// One commit as one node is to see it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) revision: u64,
    pub(super) changes: Vec<Change>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Catalogue {
    position: Position,
    records: BTreeMap<(Kind, String), Held>,
    sums: BTreeMap<(Audience, Kind), Digest>,
    log: VecDeque<Commit>,
    log_changes: usize,
    log_bytes: usize,
    /// The log holds every change after this revision.
    log_from: u64,
}

impl Catalogue {
    pub(super) fn new(position: Position, records: Vec<Record>, recent: Vec<Change>) -> Catalogue {
        let mut catalogue = Catalogue {
            position,
            records: BTreeMap::new(),
            sums: BTreeMap::new(),
            log: VecDeque::new(),
            log_changes: 0,
            log_bytes: 0,
            log_from: position.revision,
        };
        for record in records {
            catalogue.put(record);
        }
        catalogue.recall(recent);
        catalogue
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The node record of that member.
    pub(super) fn node(&self, member: MemberNumber) -> Option<Node> {
        let key = member.to_string();
        let held = self.records.get(&(Kind::Node, key.clone()))?;
        Node::from_json(&key, &held.record.value).ok()
    }

    /// The member at which the phones of a subscriber are at home; none for one that is at home everywhere.
    pub(super) fn home_of(&self, extension: &Extension) -> Option<MemberNumber> {
        match self.records.get(&(Kind::Subscriber, extension.as_str().to_owned()))?.audience {
            Audience::Member(home) => Some(home),
            Audience::Everyone | Audience::Nobody => None,
        }
    }

    /// Every node of the cluster.
    pub(super) fn nodes(&self) -> BTreeSet<MemberNumber> {
        let all = (Kind::Node, String::new())..(Kind::NumberingRange, String::new());
        self.records.range(all).filter_map(|((_, key), _)| key.parse().ok()).collect()
    }

    /// Takes a commit in.
    pub(super) fn commit(&mut self, revision: u64, changes: Vec<Change>) {
        let steps = changes
            .into_iter()
            .filter(|change| matches!(change.subject().0.scope(), Scope::Common | Scope::Subscriber))
            .map(|change| self.apply(change))
            .collect();
        self.position.revision = revision;
        self.remember(Commit { revision, steps });
    }

    /// The digest of everything nodes may hold.
    pub(super) fn root(&self) -> Digest {
        self.sums.values().fold(Digest::EMPTY, |sum, digest| sum.plus(*digest))
    }

    /// The digest of what `member` should hold now, of the kinds it knows (all of them if not said).
    pub(super) fn digest_of(&self, member: MemberNumber, kinds: Option<&BTreeSet<Kind>>) -> Digest {
        let of = |audience: Audience| {
            self.sums
                .iter()
                .filter(move |((whose, kind), _)| *whose == audience && knows(kinds, *kind))
                .fold(Digest::EMPTY, |sum, (_, digest)| sum.plus(*digest))
        };
        of(Audience::Everyone).plus(of(Audience::Member(member)))
    }

    /// The digest of what `member` should have held at `revision`, if the log still tells: today's, less what
    /// has changed since.
    pub(super) fn digest_at(
        &self,
        member: MemberNumber,
        kinds: &BTreeSet<Kind>,
        revision: u64,
    ) -> Option<Digest> {
        if revision > self.position.revision || revision < self.log_from {
            return None;
        }
        let mut digest = self.digest_of(member, Some(kinds));
        let later = self.log.iter().rev().take_while(|commit| commit.revision > revision);
        for step in later.flat_map(|commit| commit.steps.iter().rev()) {
            if !kinds.contains(&step.change.subject().0) {
                continue;
            }
            if let Some((_, now)) = step.after.filter(|(audience, _)| audience.includes(member)) {
                digest = digest.minus(now);
            }
            match &step.before {
                Before::Held(audience, then) if audience.includes(member) => digest = digest.plus(*then),
                Before::Held(..) | Before::Absent => {}
                Before::Unknown => return None,
            }
        }
        Some(digest)
    }

    /// True when a node that stands at `revision` can be brought up to date by changes.
    pub(super) fn reaches_back_to(&self, revision: u64) -> bool {
        (self.log_from..=self.position.revision).contains(&revision)
    }

    /// The first commit after `revision` as `member` is to see it; none when there is none.
    pub(super) fn after(&self, revision: u64, member: MemberNumber, kinds: &BTreeSet<Kind>) -> Option<View> {
        let index = self.log.partition_point(|commit| commit.revision <= revision);
        let commit = self.log.get(index)?;
        let known = commit.steps.iter().filter(|step| kinds.contains(&step.change.subject().0));
        let changes = known.filter_map(|step| step.seen_by(member)).collect();
        Some(View { revision: commit.revision, changes })
    }

    /// Everything `member` should hold now.
    pub(super) fn snapshot(&self, member: MemberNumber, kinds: &BTreeSet<Kind>) -> VecDeque<Arc<Record>> {
        let mut all = VecDeque::new();
        for ((kind, _), held) in &self.records {
            if kinds.contains(kind) && held.audience.includes(member) {
                all.push_back(Arc::clone(&held.record));
            }
        }
        all
    }

    fn apply(&mut self, change: Change) -> Step {
        let (before, after) = match &change {
            Change::Put(record) => {
                let (before, held) = self.put(record.clone());
                (before, Some(held))
            }
            Change::Delete { kind, key, .. } => (self.remove(*kind, key), None),
        };
        Step { change, before, after }
    }

    fn put(&mut self, record: Record) -> (Before, (Audience, Digest)) {
        let before = self.remove(record.kind, &record.key);
        let (audience, digest) = (Audience::of(&record), Digest::of(&record));
        let name = (record.kind, record.key.clone());
        let sum = self.sums.entry((audience, record.kind)).or_default();
        *sum = sum.plus(digest);
        self.records.insert(name, Held { record: Arc::new(record), audience, digest });
        (before, (audience, digest))
    }

    fn remove(&mut self, kind: Kind, key: &str) -> Before {
        let Some(held) = self.records.remove(&(kind, key.to_owned())) else { return Before::Absent };
        if let Some(sum) = self.sums.get_mut(&(held.audience, kind)) {
            *sum = sum.minus(held.digest);
        }
        Before::Held(held.audience, held.digest)
    }

    /// Changes made before this process started: what they replaced is not known any more.
    fn recall(&mut self, recent: Vec<Change>) {
        let Some(first) = recent.first().map(Change::revision) else { return };
        let mut commits: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
        for change in recent {
            let after = match &change {
                Change::Put(record) => Some((Audience::of(record), Digest::of(record))),
                Change::Delete { .. } => None,
            };
            let scope = change.subject().0.scope();
            let steps = commits.entry(change.revision()).or_default();
            if matches!(scope, Scope::Common | Scope::Subscriber) {
                steps.push(Step { change, before: Before::Unknown, after });
            }
        }
        self.log_from = first.saturating_sub(1);
        // A last commit that changed nothing for anybody is a revision all the same: nodes must come to stand there.
        commits.entry(self.position.revision).or_default();
        for (revision, steps) in commits {
            self.remember(Commit { revision, steps });
        }
    }

    fn remember(&mut self, commit: Commit) {
        self.log_changes += commit.steps.len();
        self.log_bytes += commit.bytes();
        self.log.push_back(commit);
        while self.log_changes > LOG_CHANGES_MAX || self.log_bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.log.pop_front() else { break };
            self.log_changes -= oldest.steps.len();
            self.log_bytes -= oldest.bytes();
            self.log_from = oldest.revision;
        }
    }
}

impl Commit {
    fn bytes(&self) -> usize {
        let value = |step: &Step| match &step.change {
            Change::Put(record) => record.value.len(),
            Change::Delete { .. } => 0,
        };
        self.steps.iter().map(value).sum()
    }
}

impl Step {
    /// The change for one node: as it is, as a departure, or nothing.
    fn seen_by(&self, member: MemberNumber) -> Option<Change> {
        if self.after.is_some_and(|(audience, _)| audience.includes(member)) {
            return Some(self.change.clone());
        }
        let leaves = match &self.before {
            Before::Held(audience, _) => audience.includes(member),
            // To delete what was never held is harmless; to keep what should be gone is not.
            Before::Unknown => true,
            Before::Absent => false,
        };
        let (kind, key) = self.change.subject();
        leaves.then(|| Change::Delete { kind, key: key.to_owned(), revision: self.change.revision() })
    }
}

fn knows(kinds: Option<&BTreeSet<Kind>>, kind: Kind) -> bool {
    kinds.is_none_or(|kinds| kinds.contains(&kind))
}
