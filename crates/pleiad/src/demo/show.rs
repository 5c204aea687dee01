//! What the demo prints: one table of what runs where, and the answers to a second terminal.

use super::control::Answer;
use super::deploy::Network;
use super::plan::{NODES, Plan, wan_name};
use crate::table::Table;
use std::path::Path;
use std::process::ExitCode;

/// The table of the running network.
pub(super) fn network(plan: &Plan, dir: &Path, network: &Network) {
    let mut processes =
        Table::new(&["process", "role", "SIP (UDP+TCP)", "web + API", "cluster link", "login"]);
    let manager = format!("https://{}", plan.manager_address());
    processes.row(["manager", "manager", "–", &manager, "–", &network.login]);
    for member in plan.members() {
        let role =
            if member.number == 0 { "cluster server".to_owned() } else { format!("node {}", member.number) };
        let login = network.member_logins.get(member.name).map_or("see logins.txt", String::as_str);
        let web = format!("https://{}", plan.at(member, member.web_port));
        let (sip, link) =
            (plan.at(member, member.sip_port).to_string(), plan.at(member, member.link_port).to_string());
        processes.row([member.name, &role, &sip, &web, &link, login]);
    }
    for node in NODES {
        let Some((listen, to)) = plan.relay(node) else { continue };
        processes.row([&wan_name(node), "line of a node", "–", "–", &format!("{listen} to {to}"), "–"]);
    }
    let mut phones = Table::new(&["phone", "password", "registrar", "domain"]);
    for phone in &network.phones {
        phones.row([&phone.extension, &phone.password, &phone.registrar.to_string(), &plan.domain]);
    }
    println!("\n{processes}\n\n{phones}");
    println!("\nlogs, settings and data: {0}; passwords: {0}/phones.csv, {0}/manager.txt", dir.display());
    println!(
        "from a second terminal:  pleiad demo call 2101 2201 | cut 1 | heal 1 | status | stop    (Ctrl-C ends all)"
    );
}

/// The state of each member.
pub(super) fn status(said: &Answer, json: bool) -> ExitCode {
    if !said.good {
        return answer(said);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&said.members).unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let mut table = Table::new(&["member", "role", "state", "revision", "phones", "calls", "line"]);
    for member in &said.members {
        let count = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), |number| number.to_string());
        table.row([
            &member.name,
            &member.role,
            &member.state,
            &count(member.revision),
            &count(member.bindings),
            &count(member.calls),
            &member.line,
        ]);
    }
    println!("{table}");
    ExitCode::SUCCESS
}

/// A sentence, on the channel that fits.
pub(super) fn answer(said: &Answer) -> ExitCode {
    if said.good {
        println!("{}", said.text);
        ExitCode::SUCCESS
    } else {
        eprintln!("error: {}", said.text);
        ExitCode::FAILURE
    }
}
