//! Who is not heard: sources and users that were braked for wrong passwords, and sources whose floods are dropped. An
//! operator lifts what guessing brought; a flood is over when it ends.

use crate::machine::Machine;
use crate::member::CallInput;
use crate::shell::clock::ms;
use crate::shell::engine::Engine;
use crate::shell::phones::flood::Flooder;
use call::{Ban, Suspect};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use web::ApiError;
use web::auth::Principal;

/// Why somebody is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It guessed at passwords: refused with 403, whatever it sends.
    WrongPasswords,
    /// It sent more datagrams than a source may: the rest is dropped.
    Flood,
}

/// Somebody who is not heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanView {
    /// An IPv4 address, or the first of an IPv6 network of 64 bits.
    pub source_ip: IpAddr,
    /// As whom; all who are not registered from there when there is no user.
    pub user: Option<String>,
    /// Why.
    pub why: Why,
    /// Wrong passwords in a row, or datagrams dropped.
    pub count: u64,
    /// Until when, Unix time; of a flood, if it ends now.
    pub until_ms: u64,
}

impl BanView {
    fn of_guesser(ban: Ban) -> BanView {
        let Ban { suspect: Suspect { source_ip, user }, wrong, until } = ban;
        BanView { source_ip, user, why: Why::WrongPasswords, count: wrong.into(), until_ms: ms(until) }
    }

    fn of_flooder(flooder: Flooder) -> BanView {
        let Flooder { source_ip, dropped, until } = flooder;
        BanView { source_ip, user: None, why: Why::Flood, count: dropped, until_ms: ms(until) }
    }
}

/// All who are not heard at this member now, by source. Each thread brakes and drops for itself; its word is added to
/// that of the others.
///
/// # Errors
/// 503 while the role is being changed.
pub async fn bans(machine: &Machine) -> Result<Vec<BanView>, ApiError> {
    let of_each = super::running(machine)?.engine.ask_all(of_thread).await.map_err(super::being_rebuilt)?;
    let mut all: BTreeMap<(IpAddr, Option<String>, Why), BanView> = BTreeMap::new();
    for ban in of_each.into_iter().flatten() {
        all.entry((ban.source_ip, ban.user.clone(), ban.why))
            .and_modify(|known| {
                known.count += ban.count;
                known.until_ms = known.until_ms.max(ban.until_ms);
            })
            .or_insert(ban);
    }
    Ok(all.into_values().collect())
}

fn of_thread(engine: &mut Engine) -> Vec<BanView> {
    let now = engine.now();
    let guessers = engine.lane().shard().bans(now).into_iter().map(BanView::of_guesser);
    guessers.chain(engine.wall().flooders(now).map(BanView::of_flooder)).collect()
}

/// Lets somebody off who was braked for wrong passwords: its next try is heard. It is done when this returns.
///
/// # Errors
/// 404 when nobody like that is braked here.
pub async fn lift(machine: &Machine, principal: &Principal, suspect: Suspect) -> Result<(), ApiError> {
    principal.administrator()?;
    let running = super::running(machine)?;
    let is_it = |ban: &BanView| {
        ban.why == Why::WrongPasswords && ban.source_ip == suspect.source_ip && ban.user == suspect.user
    };
    if !bans(machine).await?.iter().any(is_it) {
        let whom = match &suspect.user {
            Some(user) => format!("ban of {user} at {}", suspect.source_ip),
            None => format!("ban of all of {}", suspect.source_ip),
        };
        return Err(ApiError::not_found(whom).next("the list shows source and user of each ban"));
    }
    tracing::info!(source = %suspect.source_ip, by = %principal.user, "ban lifted by an operator");
    running.engine.tell(CallInput::Lift(suspect));
    // The threads answer in the order they are told: this answer comes when all have obeyed.
    running.engine.ask_all(|_| ()).await.map_err(super::being_rebuilt)?;
    machine.hub().changed("bans");
    Ok(())
}
