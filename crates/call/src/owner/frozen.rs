//! The owners as data: what cannot be computed from the rest, in the order of their numbers.

use super::Owners;
use crate::binding::PackedBinding;
use crate::keyed::Key;
use model::Extension;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sip::digest::UsedNonces;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Frozen {
    key: Key,
    bindings: Vec<PackedBinding>,
    used: Vec<(Extension, UsedNonces)>,
    begun: Vec<(Extension, u32)>,
    connections: Vec<(u64, Vec<Extension>)>,
}

impl Serialize for Owners {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.table.in_order();
        let used = all.iter().filter(|(_, owner)| owner.used != UsedNonces::default());
        let begun = all.iter().filter(|(_, owner)| owner.begun > 0);
        let frozen = Frozen {
            key: self.table.key(),
            bindings: all.iter().flat_map(|(_, owner)| owner.phones.iter().cloned()).collect(),
            used: used.map(|(extension, owner)| ((*extension).clone(), owner.used.clone())).collect(),
            begun: begun.map(|(extension, owner)| ((*extension).clone(), owner.begun)).collect(),
            connections: self.connections.iter().map(|(number, over)| (*number, over.to_vec())).collect(),
        };
        frozen.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Owners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Owners, D::Error> {
        let Frozen { key, bindings, used, begun, connections } = Frozen::deserialize(deserializer)?;
        let mut owners = Owners::new(key);
        bindings.into_iter().for_each(|binding| owners.restore(binding));
        for (extension, used) in used {
            owners.table.change(&extension, |owner| owner.used = used);
            owners.table.wind(Duration::ZERO, &extension);
        }
        for (extension, begun) in begun {
            owners.table.change(&extension, |owner| owner.begun = begun);
        }
        let over = |(number, over): (u64, Vec<Extension>)| (number, over.into());
        owners.connections = connections.into_iter().map(over).collect();
        Ok(owners)
    }
}
