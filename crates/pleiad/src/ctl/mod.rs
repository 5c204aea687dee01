//! `pleiad ctl`: every action of the manager from the shell, as a table for people or as JSON for programs.
//!
//! It speaks the manager's HTTPS API through `manager::client` and nothing else. Whatever the demo does, it does with
//! functions called here too.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | failed on the way: not reachable, broken, cut off |
//! | 2 | the command line is wrong |
//! | 3 | refused by a rule; nothing was changed |
//! | 4 | not logged in |

mod cluster;
mod fault;
mod machine;
mod object;
mod print;
mod session;
mod topology;
mod watch;

use clap::{Args, Subcommand};
use print::Form;
use std::process::ExitCode;

pub(crate) use fault::Fault;

/// Every manager action.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad ctl login --manager 127.0.0.1:7443 --user admin
  pleiad ctl region add north
  pleiad ctl multi-site add offices --region north
  pleiad ctl machine add centre --address 192.0.2.1:7501 --cluster-server --multi-site offices
  pleiad ctl machine add branch --address 192.0.2.7:7501 --node-of centre
  pleiad ctl machine claim branch --code ABCD-EFGH-JKLM-NPQR
  pleiad ctl machine identify branch && pleiad ctl machine configure branch
  pleiad ctl object put subscriber 2101 --value '{\"name\":\"Ann\",\"feature_class\":\"standard\",\"home\":1}'
  pleiad ctl explain branch 2101 2201
  pleiad ctl doctor

Without a login, PLEIAD_MANAGER, PLEIAD_USER and PLEIAD_PASSWORD (or PLEIAD_PASSWORD_FILE) are taken.
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 refused by a rule, 4 not logged in.")]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    access: session::Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in to a manager and remember it, with the fingerprint of its certificate
    Login(session::Login),
    /// Forget the login
    Logout,
    /// Choose a new password for the account that is logged in
    Password(session::NewPassword),
    /// Regions of the topology
    #[command(subcommand)]
    Region(topology::RegionCommand),
    /// Multi-sites of the topology
    #[command(subcommand)]
    MultiSite(topology::MultiSiteCommand),
    /// Machines: cluster servers and nodes, and their deployment
    #[command(subcommand)]
    Machine(machine::Command),
    /// Objects of a cluster: numbering-range, feature-class, barred-numbers, special-number, subscriber
    #[command(subcommand)]
    Object(object::Command),
    /// The operations log
    Operations(watch::Operations),
    /// Machines and links with their live state
    #[command(alias = "status")]
    Map,
    /// What is wrong with this installation
    Doctor,
    /// What a machine says of itself
    State(cluster::Whom),
    /// Phones registered at a machine
    #[command(alias = "bindings")]
    Registrations(cluster::Whom),
    /// What the lines of a machine's subscribers do, and those its phones watch
    Lines(cluster::Whom),
    /// Calls in progress at a machine
    Calls(cluster::Whom),
    /// Ended calls at a machine
    Records(cluster::Records),
    /// The call-flow diagram of a call
    Ladder(cluster::OneCall),
    /// The messages of a call as a capture file, for Wireshark
    Pcap(cluster::Capture),
    /// The certificate that phones of a machine are to trust for TLS
    Authority(cluster::Authority),
    /// Say how many messages wait for a subscriber: its phones' lamps show it
    Messages(cluster::Messages),
    /// End a call in progress
    Hangup(cluster::HangUp),
    /// Who is not heard at a machine: for wrong passwords, or for a flood
    Bans(cluster::Whom),
    /// Let somebody off who was braked for wrong passwords
    Unban(cluster::Unban),
    /// Why a number leads where it leads, step by step
    Explain(cluster::Explain),
}

/// Does it and prints it; the exit code says how it went.
pub(crate) async fn run(options: Options) -> ExitCode {
    let form = Form::of(options.json);
    match obey(options, form).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            form.fault(&fault);
            fault.exit_code()
        }
    }
}

async fn obey(options: Options, form: Form) -> Result<(), Fault> {
    let Options { access, command, .. } = options;
    match command {
        Command::Login(login) => return session::login(&access, login, form).await,
        Command::Logout => return session::logout(form),
        _ => {}
    }
    let client = session::client(&access).await?;
    match command {
        Command::Login(_) | Command::Logout => Ok(()),
        Command::Password(new) => session::password(&client, new, form).await,
        Command::Region(command) => topology::region(&client, command, form).await,
        Command::MultiSite(command) => topology::multi_site(&client, command, form).await,
        Command::Machine(command) => machine::run(&client, command, form).await,
        Command::Object(command) => object::run(&client, command, form).await,
        Command::Operations(operations) => watch::operations(&client, operations, form).await,
        Command::Map => watch::map(&client, form).await,
        Command::Doctor => watch::doctor(&client, form).await,
        Command::State(whom) => cluster::state(&client, &whom, form).await,
        Command::Registrations(whom) => cluster::registrations(&client, &whom, form).await,
        Command::Lines(whom) => cluster::lines(&client, &whom, form).await,
        Command::Calls(whom) => cluster::calls(&client, &whom, form).await,
        Command::Records(records) => cluster::records(&client, &records, form).await,
        Command::Ladder(call) => cluster::ladder(&client, &call, form).await,
        Command::Pcap(capture) => cluster::pcap(&client, &capture, form).await,
        Command::Authority(authority) => cluster::authority(&client, &authority, form).await,
        Command::Messages(messages) => cluster::messages(&client, &messages, form).await,
        Command::Hangup(call) => cluster::hang_up(&client, &call, form).await,
        Command::Bans(whom) => cluster::bans(&client, &whom, form).await,
        Command::Unban(ban) => cluster::unban(&client, &ban, form).await,
        Command::Explain(explain) => cluster::explain(&client, &explain, form).await,
    }
}
