//! Phones that register and unregister all the time, and phones that stay.

use super::ledger::Desk;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::live::cluster::{Cluster, DOMAIN};
use testkit::live::star::inside_namespace;
use testkit::phone::{Command, Event, Options, Phone, PhoneError};

/// A phone that gets no answer in this time asks anew rather than wait for its next retransmission.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two acts of a phone.
const BREATH: Duration = Duration::from_millis(30);

/// A phone of the test.
#[derive(Debug, Clone)]
pub struct Line {
    pub host: String,
    pub extension: String,
    secret: String,
    registrar: SocketAddr,
    /// Registers again and again; the others go and come.
    stays: bool,
}

/// Two at each call server: one that stays, one that goes and comes.
pub fn lines(cluster: &Cluster) -> anyhow::Result<Vec<Line>> {
    let all = ["2001", "2002", "2101", "2102", "2201", "2202"].into_iter();
    all.map(|extension| {
        let line = cluster.line(extension)?;
        Ok(Line {
            host: line.host.clone(),
            extension: extension.to_owned(),
            secret: line.secret.clone(),
            registrar: cluster.sip_address(&line.host)?,
            stays: extension.ends_with('1'),
        })
    })
    .collect()
}

/// Lives until `stop`.
pub fn live(line: &Line, namespace: &str, desk: &Desk, stop: &AtomicBool) {
    let outcome = inside_namespace(namespace, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(act(line, desk, stop))?)
    });
    if let Err(fault) = outcome {
        panic!("phone {}: {fault:?}", line.extension);
    }
}

async fn act(line: &Line, desk: &Desk, stop: &AtomicBool) -> Result<(), PhoneError> {
    let usual = Options::new(&line.registrar.to_string(), &line.extension, &line.secret).in_domain(DOMAIN);
    let mut phone = Phone::start(&Options { expires_s: 3_600, ..usual }).await?;
    let mut registered = false;
    while !stop.load(Ordering::Acquire) {
        tokio::time::sleep(BREATH).await;
        if !desk.may_begin(line) {
            continue;
        }
        let wanted = line.stays || !registered;
        phone.command(if wanted { Command::Register } else { Command::Unregister }).await?;
        let told = |event: &Event| match event {
            Event::Registered { .. } => wanted,
            Event::Unregistered => !wanted,
            _ => false,
        };
        match phone.wait_for("the registrar's answer", PATIENCE, told).await {
            Ok(_) => {
                registered = wanted;
                desk.settle(line, registered);
            }
            // The registrar was down: what it holds is not known, so the same is asked again.
            Err(PhoneError::TimedOut { .. }) => registered = !wanted,
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
