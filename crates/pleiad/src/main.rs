//! The one binary: every role and every tool of Pleiad is a subcommand, and nothing else is here.

mod console;
mod ctl;
mod demo;
mod ipbx_role;
mod locate;
mod log;
mod manager_role;
mod memory;
mod phone;
mod process;
mod secret;
mod sim;
mod table;
mod wan;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A clustered, survivable IP-PBX: every role is a subcommand.
#[derive(Debug, Parser)]
#[command(name = "pleiad", version, max_term_width = 110)]
#[command(
    after_help = "Begin with `pleiad demo`: a whole network on this machine, ready to telephone in seconds."
)]
struct Arguments {
    /// End when standard input ends (for processes that are started by another one)
    #[arg(long, global = true, hide = true)]
    parent_pipe: bool,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A whole network on this machine: manager, cluster server, two nodes, phones to try
    Demo(demo::Options),
    /// A call server; it starts independent, the manager gives it its role
    Ipbx(ipbx_role::Options),
    /// The management station
    Manager(manager_role::Options),
    /// The local rescue console of a call server on this machine
    Console(console::Options),
    /// Every manager action from the shell
    Ctl(Box<ctl::Options>),
    /// A scriptable soft phone
    Phone(phone::Options),
    /// Where a SIP URI leads, by which records
    Locate(locate::Options),
    /// Simulated lives of a cluster, each replayable from its seed
    Sim(sim::Options),
    /// A wide-area line that can be cut, as the demo uses it
    Wan(wan::Options),
}

fn main() -> ExitCode {
    memory::return_large_blocks();
    let Arguments { parent_pipe, role } = Arguments::parse();
    let outcome = if parent_pipe { process::end_with_parent() } else { Ok(()) };
    match outcome.and_then(|()| run(role)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The role decides which parts start.
fn run(role: Role) -> Result<ExitCode> {
    match role {
        Role::Ipbx(options) => block_on(ipbx_role::run(options)),
        Role::Console(options) => block_on(console::run(options)),
        Role::Sim(options) => sim::run(options),
        Role::Manager(options) => block_on(manager_role::run(options)),
        Role::Demo(options) => block_on(demo::run(options)),
        Role::Ctl(options) => block_on(async { Ok(ctl::run(*options).await) }),
        Role::Phone(options) => block_on(phone::run(options)),
        Role::Locate(options) => block_on(locate::run(options)),
        Role::Wan(options) => block_on(async { wan::run(options).await.map(|()| ExitCode::SUCCESS) }),
    }
}

fn block_on(role: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(role)
}
