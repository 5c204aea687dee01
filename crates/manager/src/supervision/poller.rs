//! One task a machine asks it for its state, on a connection that is kept.

use super::LOST_AFTER;
use crate::service::Service;
use model::topology::HostPort;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often a machine is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// What a task was started for; another task takes its place when this changes.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    address: HostPort,
    fingerprint: String,
}

/// Keeps one task for each claimed machine of the topology until `stop`.
pub async fn supervise(service: Service, stop: CancellationToken) {
    let mut tasks: BTreeMap<String, (Subject, JoinHandle<()>)> = BTreeMap::new();
    let mut tick = tokio::time::interval(PERIOD);
    while !stop.is_cancelled() {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => break,
        }
        let wanted = subjects(&service);
        tasks.retain(|key, (subject, task)| {
            let keep = wanted.get(key) == Some(subject) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        for (key, subject) in wanted {
            let watched = key.clone();
            tasks.entry(key).or_insert_with(|| (subject, tokio::spawn(watch(service.clone(), watched))));
        }
    }
    for (_, task) in tasks.into_values() {
        task.abort();
    }
}

fn subjects(service: &Service) -> BTreeMap<String, Subject> {
    let topology = service.snapshot();
    let subject = |machine: &model::topology::Machine| {
        let fingerprint = machine.progress.fingerprint()?.to_owned();
        Some(Subject { address: machine.address.clone(), fingerprint })
    };
    topology.by_key().filter_map(|(key, machine)| Some((key.to_owned(), subject(machine)?))).collect()
}

async fn watch(service: Service, key: String) {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if ask(&service, &key).await {
            service.hub().publish("map", &key);
        }
    }
}

/// The machine is looked up each time: its tokens may be others since the last.
async fn ask(service: &Service, key: &str) -> bool {
    let machine = match service.machine(key) {
        Ok(machine) => machine,
        Err(fault) => return service.sights().failed(key, fault.to_string(), Instant::now()),
    };
    let answer = tokio::time::timeout(LOST_AFTER, machine.state()).await;
    let now = Instant::now();
    match answer {
        Ok(Ok((state, offset))) => service.sights().answered(key, state, offset, now),
        Ok(Err(fault)) => service.sights().failed(key, fault.to_string(), now),
        Err(_) => service.sights().failed(key, format!("no answer within {} s", LOST_AFTER.as_secs()), now),
    }
}
