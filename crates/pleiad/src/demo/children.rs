//! The processes of the demo: their settings files, their starts, their ends.

use super::Progress;
use super::netns;
use super::plan::{Ground, Member, NODES, Plan, wan_name, wan_socket};
use crate::process::ask_to_end;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a process may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(8);
/// How often a process that starts is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The processes in the order they were started.
#[derive(Default)]
pub(super) struct Children {
    running: Vec<Running>,
}

struct Running {
    name: String,
    child: Child,
}

/// The settings of a call server, as its operator writes them.
#[derive(Serialize)]
struct IpbxSettings<'a> {
    dir: &'a str,
    name: &'a str,
    bind: IpAddr,
    sip_port: u16,
    sip_tls_port: u16,
    web_port: u16,
    link_port: u16,
}

/// The settings of the manager, as its operator writes them.
#[derive(Serialize)]
struct ManagerSettings<'a> {
    dir: &'a str,
    name: &'a str,
    bind: SocketAddr,
}

impl Children {
    /// Starts every process and waits until each answers.
    pub(super) async fn start_all(&mut self, plan: &Plan, dir: &Path, progress: Progress) -> Result<()> {
        let manager = ManagerSettings { dir: "manager", name: "manager", bind: plan.manager_address() };
        write_settings(dir, "manager", &manager)?;
        self.start(dir, None, "manager", &["manager", "--config", "manager.toml", "--parent-pipe"])?;
        for member in plan.members() {
            write_settings(dir, member.name, &settings(plan, member))?;
            let file = format!("{}.toml", member.name);
            let place = (plan.ground == Ground::Namespaces).then(|| netns::name(member.number));
            self.start(dir, place, member.name, &["ipbx", "--config", &file, "--parent-pipe"])?;
        }
        for node in NODES {
            let Some((listen, to)) = plan.relay(node) else { continue };
            let (listen, to, socket) =
                (listen.to_string(), to.to_string(), wan_socket(node).display().to_string());
            let arguments = ["wan", "--listen", &listen, "--to", &to, "--control", &socket, "--parent-pipe"];
            self.start(dir, None, &wan_name(node), &arguments)?;
        }
        self.wait_for("manager", plan.manager_address(), dir).await?;
        progress.says(&format!("manager answers on https://{}", plan.manager_address()));
        for member in plan.members() {
            let address = plan.at(member, member.web_port);
            self.wait_for(member.name, address, dir).await?;
            progress.says(&format!("{} answers on https://{address}", member.name));
        }
        Ok(())
    }

    /// Starts one, in a network namespace when `place` names one.
    fn start(&mut self, dir: &Path, place: Option<String>, name: &str, arguments: &[&str]) -> Result<()> {
        let own = std::env::current_exe().context("cannot find our own executable")?;
        let log = dir.join("logs").join(format!("{name}.log"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = match place {
            // `ip netns exec` becomes the program, so the child is the call server itself.
            Some(place) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &place]).arg(own);
                command
            }
            None => Command::new(own),
        };
        let child = command
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            // Ctrl-C is for us: we end the children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.running.push(Running { name: name.to_owned(), child });
        Ok(())
    }

    async fn wait_for(&mut self, name: &str, address: SocketAddr, dir: &Path) -> Result<()> {
        let answers = async {
            loop {
                if TcpStream::connect(address).await.is_ok() {
                    return Ok(());
                }
                if let Some(running) = self.running.iter_mut().find(|running| running.name == name)
                    && let Some(status) = running.child.try_wait()?
                {
                    bail!("{name} ended with {status}; its last words:\n{}", last_words(dir, name));
                }
                sleep(LOOK).await;
            }
        };
        timeout(START, answers).await.with_context(|| {
            format!("{name} does not answer on {address}; its last words:\n{}", last_words(dir, name))
        })?
    }

    /// Waits until one of them ends that nobody ended, and forgets it.
    pub(super) async fn first_to_end(&mut self) -> String {
        loop {
            for (index, running) in self.running.iter_mut().enumerate() {
                if let Ok(Some(status)) = running.child.try_wait() {
                    let name = running.name.clone();
                    self.running.remove(index);
                    return format!("{name} ended by itself ({status}), see logs/{name}.log");
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends them all, politely at first.
    pub(super) async fn end(&mut self) {
        for running in &self.running {
            if let Some(id) = running.child.id() {
                // One that is gone already needs no word.
                let _ = ask_to_end(id);
            }
        }
        for Running { name, child } in &mut self.running {
            if timeout(END, child.wait()).await.is_err() {
                println!("{name} does not end by itself and is killed");
                let _ = child.kill().await;
            }
        }
        self.running.clear();
    }
}

fn settings<'a>(plan: &Plan, member: &'a Member) -> IpbxSettings<'a> {
    let Member { name, sip_port, sip_tls_port, web_port, link_port, .. } = *member;
    let bind = plan.at(member, sip_port).ip();
    IpbxSettings { dir: name, name, bind, sip_port, sip_tls_port, web_port, link_port }
}

fn write_settings(dir: &Path, name: &str, settings: &impl Serialize) -> Result<()> {
    let text = toml::to_string(settings).with_context(|| format!("cannot write the settings of {name}"))?;
    let file = dir.join(format!("{name}.toml"));
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The end of a process's log.
fn last_words(dir: &Path, name: &str) -> String {
    const LINES: usize = 15;
    let text = std::fs::read_to_string(dir.join("logs").join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
