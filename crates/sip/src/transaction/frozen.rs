//! A layer as data: what cannot be computed from the rest, in the order it came.

use super::Limits;
use super::layer::{ClientEntry, Layer, ServerEntry};
use super::table::Spread;
use crate::Hop;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize)]
struct Freezing<'a, H> {
    limits: &'a Limits,
    spread: Spread,
    clients: Vec<(u64, &'a ClientEntry<H>)>,
    servers: Vec<(u64, &'a ServerEntry<H>)>,
}

#[derive(Deserialize)]
struct Frozen<H> {
    limits: Limits,
    spread: Spread,
    clients: Vec<(u64, ClientEntry<H>)>,
    servers: Vec<(u64, ServerEntry<H>)>,
}

impl<H: Serialize> Serialize for Layer<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (clients, servers) = (self.clients.in_order(), self.servers.in_order());
        Freezing { limits: &self.limits, spread: self.spread, clients, servers }.serialize(serializer)
    }
}

impl<'de, H: Hop + DeserializeOwned> Deserialize<'de> for Layer<H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Layer<H>, D::Error> {
        let Frozen { limits, spread, clients, servers } = Frozen::<H>::deserialize(deserializer)?;
        let mut layer = Layer::spread(limits, spread);
        for (name, entry) in clients {
            layer.clients.put(name, entry);
        }
        for (name, entry) in servers {
            if let Some(identity) = entry.identity {
                layer.identities.insert(identity, name);
            }
            layer.servers.put(name, entry);
        }
        layer.set_alarms_anew();
        layer.note_answered();
        Ok(layer)
    }
}
