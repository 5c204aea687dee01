//! Clients of the manager's API that write as fast as they are answered.

use super::ledger::Ledger;
use anyhow::Context;
use manager::client::{Client, ClientError, Wire};
use manager::view::RegionRequest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::live::cluster::{Cluster, MACHINES, MANAGER_PORT};
use testkit::live::star::inside_namespace;

/// The kinds of objects that are written.
pub const KINDS: [&str; 3] = ["feature-class", "barred-numbers", "numbering-range"];
/// What the manager keeps itself.
pub const REGION: &str = "region";
/// Who writes what.
pub const WRITERS: [(usize, &str); 4] = [(0, KINDS[0]), (1, KINDS[1]), (2, KINDS[2]), (3, REGION)];
/// After a failure: long enough not to spin, short enough to write into the next life of the process.
const RETRY: Duration = Duration::from_millis(40);

/// The way to the manager, for all writers.
pub struct Door {
    namespace: String,
    address: String,
    login: (String, String),
    token: Mutex<Option<String>>,
    cluster: String,
    machines: BTreeMap<String, String>,
}

impl Door {
    pub fn of(cluster: &Cluster) -> anyhow::Result<Door> {
        let mut door = Door {
            namespace: cluster.star.namespace("mgr"),
            address: format!("{}:{MANAGER_PORT}", cluster.star.address("mgr")?),
            login: cluster.login(),
            token: Mutex::default(),
            cluster: String::new(),
            machines: BTreeMap::new(),
        };
        let machines = door.at_manager(async |client| client.machines().await)?;
        for (host, name) in MACHINES {
            let machine = machines.iter().find(|machine| machine.name == name).context(name)?;
            door.machines.insert(host.to_owned(), machine.id.clone());
            door.cluster = machine.cluster.clone().unwrap_or(door.cluster);
        }
        Ok(door)
    }

    /// What a machine says of itself. It may have just been started, and so may the manager.
    pub fn ask(&self, host: &str, what: &str) -> anyhow::Result<Value> {
        let id = self.machines.get(host).context("no such machine")?;
        testkit::live::eventually(&format!("{host} to answer {what}"), Duration::from_secs(20), || {
            Ok(self.at_manager(async |client| client.ask(id, what).await).ok())
        })
    }

    /// The objects of a kind, as the cluster server answers.
    pub fn objects(&self, kind: &str) -> anyhow::Result<Vec<(String, Value)>> {
        let answer = self.at_manager(async |client| client.objects(&self.cluster, kind).await)?;
        let list = answer.as_array().context("a list of objects")?;
        let pair = |object: &Value| Some((object["key"].as_str()?.to_owned(), object["value"].clone()));
        Ok(list.iter().filter_map(pair).collect())
    }

    /// The regions the manager has, by name, as if each held the number 1.
    pub fn regions(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let regions = self.at_manager(async |client| client.regions().await)?;
        Ok(regions.into_iter().map(|region| (region.name, 1)).collect())
    }

    fn at_manager<T: Send>(
        &self,
        ask: impl AsyncFnOnce(Client) -> Result<T, ClientError> + Send,
    ) -> anyhow::Result<T> {
        inside_namespace(&self.namespace, || {
            on_this_thread(async {
                let answer = match self.open().await {
                    Ok(client) => ask(client).await,
                    Err(fault) => Err(fault),
                };
                Ok(answer.inspect_err(|fault| self.notice(fault))?)
            })
        })
    }

    /// A manager that was started again knows no token of its former life.
    fn notice(&self, fault: &ClientError) {
        if fault.refusal().is_some_and(|refusal| refusal.status.as_u16() == 401) {
            *self.token.lock().unwrap() = None;
        }
    }

    /// A client with the common token, or a new login when there is none.
    async fn open(&self) -> Result<Client, ClientError> {
        let wire = Wire::learning(&self.address)?;
        let _: Value = wire.get("/api/v1/manager").await?;
        let fingerprint = wire.fingerprint_seen().expect("a certificate was seen");
        let known = self.token.lock().unwrap().clone();
        if let Some(token) = known {
            return Client::with_token(&self.address, fingerprint, &token);
        }
        let mut client = Client::new(&self.address, fingerprint)?;
        let login = client.login(&self.login.0, &self.login.1).await?;
        *self.token.lock().unwrap() = Some(login.token);
        Ok(client)
    }
}

fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Writes until `stop`. After each failure it goes on with a new object: what became of the write that was not
/// answered is not known, and it may still happen.
pub fn write(door: &Door, (own, kind): (usize, &'static str), ledger: &Ledger, stop: &AtomicBool) {
    let outcome = inside_namespace(&door.namespace, || {
        on_this_thread(async {
            let mut client = None;
            for number in 1.. {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                if let Err(fault) = write_one(door, &mut client, (own, kind, number), ledger).await {
                    door.notice(&fault);
                    ledger.refused();
                    client = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
            Ok(())
        })
    });
    outcome.expect("a writer");
}

async fn write_one(
    door: &Door,
    client: &mut Option<(Client, u64)>,
    (own, kind, number): (usize, &'static str, u64),
    ledger: &Ledger,
) -> Result<(), ClientError> {
    let (client, life) = match client {
        Some(open) => open,
        None => client.insert((door.open().await?, number)),
    };
    if kind == REGION {
        let name = format!("loss-{number}");
        ledger.trying(kind, &name, 1);
        client.create_region(&RegionRequest { name: name.clone(), comment: String::new() }).await?;
        ledger.told(kind, &name, 1, 0);
        return Ok(());
    }
    let key = format!("loss-{own}-{life}");
    ledger.trying(kind, &key, number);
    let written = client.put_object(&door.cluster, kind, &key, &value(kind, *life, number)).await?;
    ledger.told(kind, &key, number, written.revision);
    Ok(())
}

/// An object of this kind that holds the number.
fn value(kind: &str, life: u64, number: u64) -> Value {
    match kind {
        "feature-class" => json!({"description": number.to_string(), "barred": []}),
        "barred-numbers" => json!({"prefixes": [number.to_string()]}),
        _ => {
            // Ranges may not overlap: each object's numbers begin with its own life.
            let only = format!("9{life:07}{number:08}");
            json!({"first": only, "last": only, "use": "extensions"})
        }
    }
}

/// The numbers held by objects, by their keys.
pub fn numbers(kind: &str, objects: &[(String, Value)]) -> anyhow::Result<BTreeMap<String, u64>> {
    let ours = objects.iter().filter(|(key, _)| key.starts_with("loss-"));
    ours.map(|(key, value)| {
        let text = match kind {
            "feature-class" => value["description"].as_str(),
            "barred-numbers" => value["prefixes"][0].as_str(),
            _ => value["first"].as_str().and_then(|first| first.get(8..)),
        };
        Ok((key.clone(), text.context("a number")?.parse()?))
    })
    .collect()
}
