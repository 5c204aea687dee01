//! The demo as a stranger meets it: started, called through, cut, healed, started again, killed.
//!
//! Each story has an address of the loopback network to itself, so the fixed ports meet no other demo.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Generous: the machine may build something beside us. The promise of 10 s is measured by `cargo xtask bench`.
const PATIENCE: Duration = Duration::from_secs(60);

struct Demo {
    folder: tempfile::TempDir,
    address: String,
    running: Option<Child>,
}

impl Demo {
    fn start(story: u8) -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Demo { folder, address: address(story), running: None };
        demo.run();
        demo
    }

    fn run(&mut self) {
        let output = std::fs::File::create(self.log()).unwrap();
        let child = pleiad()
            .args(["demo", "--bind", &self.address, "--dir"])
            .arg(self.dir())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.running = Some(child);
        self.wait_for("the network is in service");
    }

    fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("demo")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("output")
    }

    fn wait_for(&mut self, word: &str) {
        let begin = Instant::now();
        loop {
            let said = std::fs::read_to_string(self.log()).unwrap_or_default();
            if said.contains(word) {
                return;
            }
            let ended = self.running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the demo ended with {ended:?}:\n{said}");
            assert!(begin.elapsed() < PATIENCE, "no '{word}' after {PATIENCE:?}:\n{said}");
            sleep(Duration::from_millis(50));
        }
    }

    /// A command from a second terminal.
    fn ask(&self, words: &[&str]) -> Output {
        pleiad().arg("demo").args(words).arg("--dir").arg(self.dir()).output().unwrap()
    }

    fn status(&self, name: &str) -> serde_json::Value {
        let output = self.ask(&["status", "--json"]);
        let members: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        members.into_iter().find(|member| member["name"] == name).unwrap()
    }

    fn wait_state(&self, name: &str, state: &str) {
        let begin = Instant::now();
        while self.status(name)["state"] != state {
            assert!(begin.elapsed() < PATIENCE, "{name} is {} and not {state}", self.status(name));
            sleep(Duration::from_millis(100));
        }
    }

    /// What `pleiad ctl` says, as the first operator.
    fn ctl(&self, words: &[&str]) -> serde_json::Value {
        let output = pleiad()
            .args(["ctl", "--json"])
            .args(words)
            .env("PLEIAD_MANAGER", format!("{}:7443", self.address))
            .env("PLEIAD_USER", "admin")
            .env("PLEIAD_PASSWORD_FILE", self.dir().join("manager.txt"))
            .env("PLEIAD_CONFIG_DIR", self.dir().join("ctl"))
            .output()
            .unwrap();
        assert!(output.status.success(), "ctl {words:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn stop(&mut self) {
        assert!(self.ask(&["stop"]).status.success());
        let status = self.running.take().unwrap().wait().unwrap();
        assert!(status.success(), "a demo that is stopped ends well: {status}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A loopback address that this story of this test process has to itself.
fn address(story: u8) -> String {
    let id = std::process::id();
    format!("127.{story}.{}.{}", id / 250 % 250 + 1, id % 250 + 1)
}

fn pleiad() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pleiad"))
}

fn heard(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("each heard the other")
}

/// Processes whose working folder is the demo's: its children.
fn children(dir: &Path) -> usize {
    let dir = dir.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == dir))
        .count()
}

/// DCS-06, DEP-23: everything is deployed through the manager; a second start finds everything again.
#[test]
fn from_an_empty_folder_to_calls_a_cut_a_return_and_a_second_start() {
    let mut demo = Demo::start(51);
    for (from, to) in [("2001", "2002"), ("2101", "2102"), ("2101", "2201"), ("2201", "2001")] {
        let call = demo.ask(&["call", from, to, "--seconds", "1"]);
        assert!(heard(&call), "{from} calls {to}: {call:?}");
    }

    assert!(demo.ask(&["cut", "1"]).status.success());
    demo.wait_state("node-1", "isolated");
    assert_eq!(demo.status("node-1")["line"], "cut");
    assert!(heard(&demo.ask(&["call", "2101", "2102", "--seconds", "1"])), "a cut is not an outage");
    let across = demo.ask(&["call", "2101", "2201", "--seconds", "1"]);
    assert!(!across.status.success());
    assert!(String::from_utf8_lossy(&across.stderr).contains("503"), "{across:?}");

    assert!(demo.ask(&["heal", "1"]).status.success());
    demo.wait_state("node-1", "connected");
    assert!(heard(&demo.ask(&["call", "2201", "2101", "--seconds", "1"])));

    let before = demo.status("cs");
    let phones = std::fs::read_to_string(demo.dir().join("phones.csv")).unwrap();
    demo.stop();
    assert_eq!(children(&demo.dir()), 0, "a stop ends every process");
    demo.run();
    assert_eq!(demo.status("cs")["revision"], before["revision"], "nothing was written again");
    assert_eq!(std::fs::read_to_string(demo.dir().join("phones.csv")).unwrap(), phones);
    assert!(heard(&demo.ask(&["call", "2101", "2201", "--seconds", "1"])));
    demo.stop();
}

/// ARC-22 (one site number), DEP-33 (role set by the manager), DEP-35 (PBX_INFOS after the role), DEP-36 (the node dials,
/// and accepts nothing), DEP-41 (the general-purpose subscriber of the node is that of the cluster server).
#[test]
fn after_the_deployment_each_node_is_what_the_manager_made_it() {
    let mut demo = Demo::start(55);
    let centre = demo.ctl(&["state", "cs"]);
    let general = demo.ctl(&["object", "get", "subscriber", "0000"]);
    let log = demo.ctl(&["operations", "--limit", "200"]);
    for (name, number, link_port) in [("node-1", 1, 7602), ("node-2", 2, 7603)] {
        let state = demo.ctl(&["state", name]);
        assert_eq!((&state["role"], &state["node_number"]), (&"node".into(), &number.into()), "DEP-33");
        assert_eq!(state["cluster"], centre["cluster"], "ARC-22: one id, one site number");
        let announced = |entry: &serde_json::Value| {
            entry["who"] == name && entry["detail"].as_str().is_some_and(|text| text.starts_with("PBX_INFOS"))
        };
        assert!(log.as_array().unwrap().iter().any(announced), "DEP-35: {name} announced itself");
        assert_eq!(state["uplink"]["state"], "connected", "DEP-36: by a connection it dialled");
        assert!(
            std::net::TcpStream::connect((demo.address.as_str(), link_port)).is_err(),
            "DEP-36: it accepts none"
        );
        assert_eq!(state["digest"].as_str().map(str::len), Some(64));
    }
    assert_eq!(general["value"]["general_purpose"], true);
    for name in ["node-1", "node-2"] {
        let copy = demo.ctl(&["object", "get", "subscriber", "0000", "--at", name]);
        assert_eq!(copy["value"], general["value"], "DEP-41: the same number with the same parameters");
    }
    demo.stop();
}

#[test]
fn a_port_in_use_is_said_and_nothing_is_started() {
    let _in_the_way = TcpListener::bind((address(52).as_str(), 7443)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = pleiad()
        .args(["demo", "--bind", &address(52), "--dir"])
        .arg(folder.path().join("demo"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("TCP port 7443") && said.contains("manager") && said.contains("next:"), "{said}");
    assert!(!folder.path().join("demo/manager").exists(), "nothing was started");
}

#[test]
fn a_demo_that_is_killed_leaves_no_process_and_a_new_one_goes_on() {
    let mut demo = Demo::start(53);
    assert_eq!(children(&demo.dir()), 6, "manager, three call servers, two lines");
    demo.running.take().map(|mut child| child.kill().and_then(|()| child.wait()).unwrap());
    let begin = Instant::now();
    while children(&demo.dir()) > 0 {
        assert!(begin.elapsed() < PATIENCE, "children outlive the demo");
        sleep(Duration::from_millis(100));
    }
    demo.run();
    assert!(heard(&demo.ask(&["call", "2001", "2201", "--seconds", "1"])));
    demo.stop();
}

#[test]
fn the_files_with_passwords_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut demo = Demo::start(54);
    for name in ["phones.csv", "manager.txt", "logins.txt"] {
        let mode = std::fs::metadata(demo.dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let manager = std::fs::read_to_string(demo.dir().join("manager.txt")).unwrap();
    assert_eq!(manager.split_whitespace().count(), 2, "`user password`");
    let phones = std::fs::read_to_string(demo.dir().join("phones.csv")).unwrap();
    assert_eq!(phones.lines().next(), Some("extension,password,registrar"));
    assert_eq!(phones.lines().count(), 7);
    demo.stop();
}
