//! What a process knows: the typed view of the records it holds, kept current change by change.
//!
//! It is not the store (it forgets with the process) and it judges nothing: `routing` decides. A record
//! that this release cannot read is reported and left aside; the last value that could be read stays in
//! force, so that one odd record never takes a subscriber out of service.

use crate::ids::{ClusterId, Extension, IdError, MemberNumber};
use crate::object::{
    BarredNumbers, Cluster, FeatureClass, Node, NumberingRange, Object, ObjectError, SpecialNumber,
    Subscriber,
};
use crate::record::{Change, Kind, Record};
use std::collections::{BTreeMap, BTreeSet};

/// The typed view of all records of one member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    cluster: Option<Cluster>,
    nodes: BTreeMap<MemberNumber, Node>,
    ranges: BTreeMap<String, NumberingRange>,
    classes: BTreeMap<String, FeatureClass>,
    barred: BTreeMap<String, BarredList>,
    specials: BTreeMap<Extension, SpecialNumber>,
    subscribers: BTreeMap<Extension, Subscriber>,
    unreadable: BTreeMap<(Kind, String), ObjectError>,
}

/// A list of barred numbers, made for the one question calls ask of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BarredList {
    prefixes: BTreeSet<String>,
}

impl BarredList {
    /// The shortest prefix of this list that `digits` begins with.
    #[must_use]
    pub fn bars(&self, digits: &Extension) -> Option<&str> {
        let digits = digits.as_str();
        (1..=digits.len())
            .filter_map(|length| digits.get(..length))
            .find_map(|prefix| self.prefixes.get(prefix))
            .map(String::as_str)
    }
}

impl From<&BarredNumbers> for BarredList {
    fn from(list: &BarredNumbers) -> BarredList {
        BarredList { prefixes: list.prefixes.iter().map(|prefix| prefix.as_str().to_owned()).collect() }
    }
}

impl Tables {
    /// The view of a whole set of records.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Tables {
        let mut tables = Tables::default();
        for record in records {
            tables.put(record);
        }
        tables
    }

    /// Forgets everything and takes `records` instead.
    pub fn replace<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        *self = Tables::of(records);
    }

    /// Takes one change. What cannot be read is kept aside, see [`Tables::unreadable`].
    ///
    /// # Errors
    /// The fault of a record this release cannot read; everything else is as it was.
    pub fn apply(&mut self, change: &Change) -> Result<(), ObjectError> {
        match change {
            Change::Put(record) => {
                self.put(record);
                match self.unreadable.get(&(record.kind, record.key.clone())) {
                    Some(fault) => Err(fault.clone()),
                    None => Ok(()),
                }
            }
            Change::Delete { kind, key, .. } => {
                self.remove(*kind, key);
                Ok(())
            }
        }
    }

    fn put(&mut self, record: &Record) {
        let subject = (record.kind, record.key.clone());
        match self.read(record) {
            Ok(()) => {
                self.unreadable.remove(&subject);
            }
            Err(fault) => {
                self.unreadable.insert(subject, fault);
            }
        }
    }

    fn read(&mut self, record: &Record) -> Result<(), ObjectError> {
        let key = record.key.as_str();
        let value = record.value.as_slice();
        match record.kind {
            Kind::Cluster => self.cluster = Some(Cluster::from_json(key, value)?),
            Kind::Node => {
                let node = Node::from_json(key, value)?;
                self.nodes.insert(parsed(record.kind, key)?, node);
            }
            Kind::NumberingRange => {
                self.ranges.insert(key.to_owned(), NumberingRange::from_json(key, value)?);
            }
            Kind::FeatureClass => {
                self.classes.insert(key.to_owned(), FeatureClass::from_json(key, value)?);
            }
            Kind::BarredNumbers => {
                let list = BarredNumbers::from_json(key, value)?;
                self.barred.insert(key.to_owned(), BarredList::from(&list));
            }
            Kind::SpecialNumber => {
                let special = SpecialNumber::from_json(key, value)?;
                self.specials.insert(parsed(record.kind, key)?, special);
            }
            Kind::Subscriber => {
                let subscriber = Subscriber::from_json(key, value)?;
                self.subscribers.insert(parsed(record.kind, key)?, subscriber);
            }
            // Not about calls: accounts and the manager's topology have their own readers.
            _ => {}
        }
        Ok(())
    }

    fn remove(&mut self, kind: Kind, key: &str) {
        self.unreadable.remove(&(kind, key.to_owned()));
        match kind {
            Kind::Cluster => self.cluster = None,
            Kind::Node => drop(key.parse().ok().and_then(|number| self.nodes.remove(&number))),
            Kind::NumberingRange => drop(self.ranges.remove(key)),
            Kind::FeatureClass => drop(self.classes.remove(key)),
            Kind::BarredNumbers => drop(self.barred.remove(key)),
            Kind::SpecialNumber => drop(key.parse().ok().and_then(|digits| self.specials.remove(&digits))),
            Kind::Subscriber => drop(key.parse().ok().and_then(|digits| self.subscribers.remove(&digits))),
            _ => {}
        }
    }

    /// The cluster, once its record has arrived.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// The cluster's identity, once known.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&ClusterId> {
        self.cluster.as_ref().map(|cluster| &cluster.id)
    }

    /// One node.
    #[must_use]
    pub fn node(&self, number: MemberNumber) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> impl Iterator<Item = (MemberNumber, &Node)> {
        self.nodes.iter().map(|(number, node)| (*number, node))
    }

    /// All numbering ranges, by key.
    pub fn ranges(&self) -> impl Iterator<Item = (&str, &NumberingRange)> {
        self.ranges.iter().map(|(key, range)| (key.as_str(), range))
    }

    /// The range that `digits` is a number of.
    #[must_use]
    pub fn range_of(&self, digits: &Extension) -> Option<(&str, &NumberingRange)> {
        self.ranges().find(|(_, range)| range.contains(digits))
    }

    /// One feature class.
    #[must_use]
    pub fn class(&self, key: &str) -> Option<&FeatureClass> {
        self.classes.get(key)
    }

    /// All feature classes, by key.
    pub fn classes(&self) -> impl Iterator<Item = (&str, &FeatureClass)> {
        self.classes.iter().map(|(key, class)| (key.as_str(), class))
    }

    /// One list of barred numbers.
    #[must_use]
    pub fn barred(&self, key: &str) -> Option<&BarredList> {
        self.barred.get(key)
    }

    /// All lists of barred numbers, by key.
    pub fn barred_lists(&self) -> impl Iterator<Item = (&str, &BarredList)> {
        self.barred.iter().map(|(key, list)| (key.as_str(), list))
    }

    /// The special number that `digits` is.
    #[must_use]
    pub fn special(&self, digits: &Extension) -> Option<&SpecialNumber> {
        self.specials.get(digits)
    }

    /// One subscriber, if this member holds it.
    #[must_use]
    pub fn subscriber(&self, extension: &Extension) -> Option<&Subscriber> {
        self.subscribers.get(extension)
    }

    /// All subscribers this member holds, by extension.
    pub fn subscribers(&self) -> impl Iterator<Item = (&Extension, &Subscriber)> {
        self.subscribers.iter()
    }

    /// Records this release cannot read, with the reason.
    pub fn unreadable(&self) -> impl Iterator<Item = (Kind, &str, &ObjectError)> {
        self.unreadable.iter().map(|((kind, key), fault)| (*kind, key.as_str(), fault))
    }
}

/// A key that must be a name of type `T`.
fn parsed<T: std::str::FromStr<Err = IdError>>(kind: Kind, key: &str) -> Result<T, ObjectError> {
    key.parse().map_err(|fault: IdError| crate::object::invalid(kind, key, "key", fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(kind: Kind, key: &str, value: &str) -> Change {
        Change::Put(Record { kind, key: key.to_owned(), revision: 1, value: value.as_bytes().to_vec() })
    }

    #[test]
    fn syn_06_a_change_of_the_numbering_plan_is_in_force_at_once() {
        let mut tables = Tables::default();
        let number: Extension = "2150".parse().unwrap();
        assert!(tables.range_of(&number).is_none());
        let range = r#"{"first":"2100","last":"2199","use":"extensions"}"#;
        tables.apply(&put(Kind::NumberingRange, "node1", range)).unwrap();
        assert_eq!(tables.range_of(&number).map(|(key, _)| key), Some("node1"));
        let gone = Change::Delete { kind: Kind::NumberingRange, key: "node1".to_owned(), revision: 2 };
        tables.apply(&gone).unwrap();
        assert!(tables.range_of(&number).is_none());
    }

    #[test]
    fn an_unreadable_record_is_reported_and_the_last_good_value_stays() {
        let mut tables = Tables::default();
        tables.apply(&put(Kind::BarredNumbers, "abroad", r#"{"prefixes":["00"]}"#)).unwrap();
        let fault = tables.apply(&put(Kind::BarredNumbers, "abroad", r#"{"prefixes":7}"#)).unwrap_err();
        assert!(matches!(fault, ObjectError::Malformed { kind: Kind::BarredNumbers, .. }));
        assert_eq!(tables.unreadable().count(), 1);
        let abroad: Extension = "0033123".parse().unwrap();
        assert_eq!(tables.barred("abroad").and_then(|list| list.bars(&abroad)), Some("00"));
        tables.apply(&put(Kind::BarredNumbers, "abroad", r#"{"prefixes":["09"]}"#)).unwrap();
        assert_eq!(tables.unreadable().count(), 0);
        assert_eq!(tables.barred("abroad").and_then(|list| list.bars(&abroad)), None);
    }

    #[test]
    fn records_that_are_not_about_calls_are_passed_over() {
        let mut tables = Tables::default();
        tables.apply(&put(Kind::Account, "admin", "{}")).unwrap();
        assert_eq!(tables, Tables::default());
    }
}
