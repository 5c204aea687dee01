//! `pleiad demo`: a whole network on this machine, as independent processes of this very binary.
//!
//! It is no special path. It starts a manager, three call servers with nothing in them and two wide-area relays, reads
//! the claim codes as an operator at the consoles would, and deploys the network through the manager's own API, with
//! functions that `pleiad ctl` uses too (`cargo xtask tidy` checks that). From then on it only watches its children.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `plan` | the fixed names, numbers and ports of the demo |
//! | `ports` | who is in the way, before anything starts |
//! | `children` | the processes: their settings, starts and ends |
//! | `line`, `netns` | what lies between a node and the cluster server, and how it is cut |
//! | `deploy` | the work of an administrator |
//! | `phones` | `phones.csv` |
//! | `control` | what a second terminal can ask |
//! | `call` | a real call between two phones |
//! | `show` | the table |

mod call;
mod children;
mod control;
mod deploy;
mod line;
mod netns;
mod phones;
mod plan;
mod ports;
mod show;

use crate::process;
use anyhow::{Context, Result};
use children::Children;
use clap::{Args, Subcommand};
use control::{Answer, Asked, Request};
use netns::Namespaces;
use plan::{Ground, Plan};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// `pleiad demo` and what a second terminal can ask of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad demo                      start the network (a second start finds everything again)
  pleiad demo call 2101 2201       call across, with sound both ways, from a second terminal
  pleiad demo cut 1                node 1 loses the cluster server
  pleiad demo heal 1               and finds it again
  pleiad demo stop                 end everything")]
pub(crate) struct Options {
    /// Where the demo keeps everything
    #[arg(long, global = true, default_value = "./pleiad-demo", value_name = "FOLDER")]
    dir: PathBuf,
    /// The address to listen on; another one than 127.0.0.1 opens the demo to that network
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: IpAddr,
    /// The SIP domain of the phones
    #[arg(long, default_value = "pleiad.test")]
    domain: String,
    /// Give each call server a real network namespace; needs root
    #[arg(long, conflicts_with = "bind")]
    netns: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cut the line between a node and the cluster server: nothing passes, nothing is closed
    Cut {
        /// The node: 1 or 2
        node: u8,
    },
    /// Make the line whole again
    Heal {
        /// The node: 1 or 2
        node: u8,
    },
    /// Make a real call between two of the demo's phones; succeeds when each heard the other
    Call(call::Options),
    /// Role, state and revision of each member
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End the demo and all its processes
    Stop,
}

/// Runs the demo, or asks the one that runs.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let ask = |request| control::ask(&options.dir, request);
    let answer = match options.command {
        None => return start(&options).await,
        Some(Command::Call(call)) => return call::run(&options.dir, &call).await,
        Some(Command::Cut { node }) => ask(Request::Cut { node }).await?,
        Some(Command::Heal { node }) => ask(Request::Heal { node }).await?,
        Some(Command::Stop) => ask(Request::Stop).await?,
        Some(Command::Status { json }) => {
            let answer = ask(Request::Status).await?;
            return Ok(show::status(&answer, json));
        }
    };
    Ok(show::answer(&answer))
}

/// Prints what happens, with the time since the beginning.
#[derive(Clone, Copy)]
struct Progress {
    begin: Instant,
}

impl Progress {
    fn says(self, what: &str) {
        println!("[{:6.2} s] {what}", self.begin.elapsed().as_secs_f64());
    }
}

async fn start(options: &Options) -> Result<ExitCode> {
    let ground = if options.netns { Ground::Namespaces } else { Ground::Loopback(options.bind) };
    let plan = Plan::new(ground, &options.domain);
    let progress = Progress { begin: Instant::now() };
    prepare_folder(&options.dir)?;
    let control = control::Control::bind(&options.dir)?;
    plan.settle(&options.dir)?;
    ports::check(&plan)?;
    let numbers: Vec<u8> = plan.members().iter().map(|member| member.number).collect();
    // They outlive the processes in them: dropped last.
    let _namespaces = if options.netns { Some(Namespaces::make(&numbers)?) } else { None };
    let mut children = Children::default();
    // Whatever goes wrong, and whoever ends us: the children are ended before we are.
    let outcome = tokio::select! {
        outcome = serve(&plan, &options.dir, progress, &mut children, control) => outcome,
        ended = process::told_to_end() => ended,
    };
    progress.says("ending all processes");
    children.end().await;
    progress.says("ended");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The demo from its first process to the word `stop`.
async fn serve(
    plan: &Plan,
    dir: &Path,
    progress: Progress,
    children: &mut Children,
    mut control: control::Control,
) -> Result<()> {
    children.start_all(plan, dir, progress).await?;
    let network = deploy::deploy(plan, dir, progress).await?;
    progress.says("the network is in service");
    show::network(plan, dir, &network);
    loop {
        tokio::select! {
            ended = children.first_to_end() => progress.says(&format!("{ended}; the others go on")),
            asked = control.next() => {
                let Asked { request, reply } = asked;
                if request == Request::Stop {
                    reply.send(Answer::good("the demo ends"));
                    return Ok(());
                }
                reply.send(obey(plan, dir, &network, request, progress).await);
            }
        }
    }
}

async fn obey(
    plan: &Plan,
    dir: &Path,
    network: &deploy::Network,
    request: Request,
    progress: Progress,
) -> Answer {
    let (done, said) = match request {
        Request::Cut { node } => {
            (line::cut(plan, dir, node).await, format!("the line of node {node} is cut"))
        }
        Request::Heal { node } => {
            (line::heal(plan, dir, node).await, format!("the line of node {node} is whole"))
        }
        Request::Status => return Answer::of(network.status(plan, dir).await),
        Request::Stop => return Answer::good("the demo ends"),
    };
    match done {
        Ok(()) => {
            progress.says(&said);
            Answer::good(&format!("{said}{}", what_to_expect(request)))
        }
        Err(fault) => Answer::bad(&format!("{fault:#}")),
    }
}

fn what_to_expect(request: Request) -> &'static str {
    match request {
        Request::Cut { .. } => {
            ": nothing passes and nothing is closed. Its phones go on by themselves within 3 s. (Sound between phones on \
             this one machine does not go over the line and is not cut.)"
        }
        Request::Heal { .. } => ": the node finds back by itself, and calls across work within 5 s.",
        Request::Status | Request::Stop => "",
    }
}

/// The folder of the demo holds passwords: it is its owner's alone.
fn prepare_folder(dir: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    for folder in [dir.to_path_buf(), dir.join("logs")] {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot make {} private", dir.display()))
}
