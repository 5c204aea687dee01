//! The servers under measurement: ours, an independent machine with every default, and Kamailio as Debian has it. Both have the
//! first core to themselves, the same subscribers and the same passwords.

use crate::bench::network::said;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where they listen, one after the other.
pub(super) const HOST: &str = "127.0.0.42";
/// UDP and TCP.
pub(super) const PORT: u16 = 5070;
/// TLS.
pub(super) const TLS_PORT: u16 = 5071;
/// The SIP domain of the phones, as `load` has it.
pub(super) const DOMAIN: &str = "pleiad.test";
/// The first subscriber, as `load` has it.
pub(super) const FIRST: usize = 100_000;
/// The core of the server, and that of the load.
pub(super) const CORES: [&str; 2] = ["0", "1"];
/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// The password of a subscriber, as `load` has it.
pub(super) fn password(user: usize) -> String {
    format!("pw{user}-of-a-load-phone")
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Pleiad {
        /// Threads that carry calls.
        shards: u8,
    },
    Kamailio,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Who::Pleiad { .. } => "pleiad",
            Who::Kamailio => "kamailio",
        }
    }
}

/// A running server; it ends with its handle.
pub(super) struct Server {
    child: Child,
}

/// Where the binaries and the folders of a measurement are.
pub(super) struct Ground {
    /// `pleiad`.
    pub(super) pleiad: PathBuf,
    /// The load of `testkit`.
    pub(super) load: PathBuf,
    /// Everything is written here.
    pub(super) folder: PathBuf,
}

impl Ground {
    /// Starts a server with `users` subscribers and nothing registered. `cores` are those it may use.
    pub(super) fn start(&self, who: Who, users: usize, cores: &str) -> Result<Server> {
        let folder = self.folder.join(who.name());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("cannot clear the last run")?;
        }
        std::fs::create_dir_all(&folder).context("cannot make a folder")?;
        let mut command = match who {
            Who::Pleiad { shards } => self.pleiad(&folder, users, shards, cores)?,
            Who::Kamailio => kamailio(&folder, users, cores)?,
        };
        let log = File::create(folder.join("log.txt")).context("cannot write the server's output")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", who.name()))?;
        let mut server = Server { child };
        server.wait(&folder)?;
        Ok(server)
    }

    fn pleiad(&self, folder: &Path, users: usize, shards: u8, cores: &str) -> Result<Command> {
        let state = folder.join("state");
        said(Command::new(&self.load).arg("furnish").arg(&state).arg(users.to_string()))?;
        let settings = format!(
            "dir = {state:?}\nbind = \"{HOST}\"\nsip_port = {PORT}\nsip_tls_port = {TLS_PORT}\n\
             web_port = 0\nlink_port = 0\nsip_shards = {shards}\n\
             [flood]\nper_source = 0\nstrangers = 0\n"
        );
        let file = folder.join("ipbx.toml");
        std::fs::write(&file, settings).context("cannot write the settings")?;
        let mut command = on_core(cores);
        command.arg(&self.pleiad).args(["ipbx", "--config"]).arg(file);
        Ok(command)
    }
}

fn kamailio(folder: &Path, users: usize, cores: &str) -> Result<Command> {
    let mut key = Command::new("openssl");
    key.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    key.arg("-subj").arg(format!("/CN={DOMAIN}")).arg("-keyout").arg(folder.join("key.pem"));
    said(key.arg("-out").arg(folder.join("cert.pem")))?;
    let table = folder.join("dbtext");
    std::fs::create_dir_all(&table).context("cannot make a folder")?;
    std::fs::write(table.join("version"), "table_name(string) table_version(int)\npw:2\n")?;
    let mut rows = String::from(
        "id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n",
    );
    for (row, ha1) in ha1s(users)?.iter().enumerate() {
        writeln!(rows, "{}:{}:0:0:{ha1}:0", row + 1, FIRST + row)?;
    }
    std::fs::write(table.join("pw"), rows)?;
    let run = folder.display().to_string();
    let text = include_str!("kamailio.cfg.in")
        .replace("@HOST@", HOST)
        .replace("@PORT@", &PORT.to_string())
        .replace("@TLSPORT@", &TLS_PORT.to_string())
        .replace("@DOMAIN@", DOMAIN)
        .replace("@RUN@", &run);
    let file = folder.join("kamailio.cfg");
    std::fs::write(&file, text)?;
    let mut command = on_core(cores);
    // Debian's default allocator is one for debugging; the fast one is the fair yardstick.
    command.args(["kamailio", "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "512", "-M", "16", "-f"]);
    command.arg(&file).arg("-Y").arg(folder).arg("-P").arg(folder.join("kamailio.pid"));
    Ok(command)
}

/// The HA1s of the first `users` subscribers: MD5 by the program everybody has.
fn ha1s(users: usize) -> Result<Vec<String>> {
    const MD5: &str =
        "import hashlib,sys\nfor line in sys.stdin: print(hashlib.md5(line.strip().encode()).hexdigest())";
    let mut lines = String::new();
    for user in FIRST..FIRST + users {
        writeln!(lines, "{user}:{DOMAIN}:{}", password(user))?;
    }
    let mut python = Command::new("python3")
        .args(["-c", MD5])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let mut input = python.stdin.take().context("no input")?;
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut input, lines.as_bytes()));
    let output = python.wait_with_output()?;
    writing.join().map_err(|_| anyhow::anyhow!("writing to python3 failed"))??;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

pub(super) fn on_core(cores: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]);
    command
}

impl Server {
    /// The processor time used so far, of the process and its children.
    pub(super) fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.family() {
            for thread in
                std::fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")?.flatten()
            {
                let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(sum)
    }

    /// Its own memory in bytes: what is shared by its processes counts once.
    pub(super) fn memory(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.family() {
            let text =
                std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the server is gone")?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
            sum += line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024;
        }
        Ok(sum)
    }

    fn family(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = all.get(next).copied() {
            next += 1;
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            all.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        all
    }

    fn wait(&mut self, folder: &Path) -> Result<()> {
        let begin = Instant::now();
        let socket = UdpSocket::bind((HOST, 0)).context("no socket")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let own = socket.local_addr()?;
        let ask = format!(
            "OPTIONS sip:{HOST}:{PORT} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKwait\r\nMax-Forwards: 5\r\n\
             From: <sip:a@{HOST}>;tag=1\r\nTo: <sip:{HOST}>\r\nCall-ID: wait\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        while begin.elapsed() < START {
            let log = || std::fs::read_to_string(folder.join("log.txt")).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", log());
            }
            let _ = socket.send_to(ask.as_bytes(), (HOST, PORT));
            if socket.recv(&mut [0; 2048]).is_ok() {
                return Ok(());
            }
        }
        bail!("the server does not answer after {START:?}, see {}", folder.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begin = Instant::now();
        while begin.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kamailio must be there; nothing else of Debian's is needed that `packages` does not have.
pub(super) fn check() -> Result<()> {
    let there = Path::new("/usr/sbin/kamailio").exists()
        && Path::new("/usr/lib/x86_64-linux-gnu/kamailio/modules/tls.so").exists()
        && Path::new("/usr/lib/x86_64-linux-gnu/kamailio/modules/htable.so").exists();
    ensure!(
        there,
        "Kamailio is the yardstick\n  next: apt-get install kamailio kamailio-tls-modules kamailio-extra-modules"
    );
    Ok(())
}
