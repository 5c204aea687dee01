//! The foreign programs that the live tests need, and their Debian packages.

use crate::repo::Repo;
use anyhow::{Result, bail};
use std::path::Path;

/// Program to look for, package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("make", "make"),
    ("sipp", "sip-tester"),
    ("baresip", "baresip-core"),
    ("linphonec", "linphone-cli"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// Where programs lie when PATH says nothing of the system folders.
const SYSTEM_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Installs what is missing. An error says what to type where we may not.
pub(crate) fn install(repo: &Repo) -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        println!("packages: all there");
        return Ok(());
    }
    println!("packages: installing {}", missing.join(" "));
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&missing);
    // A fresh image has no package lists yet; an old one may serve.
    let lists = apt(repo, &["update", "-q"])?;
    if !apt(repo, &install)? {
        let hint =
            if lists { "" } else { " (the package lists could not be read either: is there a network?)" };
        bail!("could not install {0}{hint}; install them by hand: apt-get install {0}", missing.join(" "));
    }
    Ok(())
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM_FOLDERS.iter().map(|folder| Path::new(folder).to_path_buf());
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).exists())
}

fn apt(repo: &Repo, arguments: &[&str]) -> Result<bool> {
    let root = repo.capture("id", &["-u"])?.trim() == "0";
    let mut command =
        if root { repo.command("apt-get", arguments) } else { repo.command("sudo", &["-n", "apt-get"]) };
    if !root {
        command.args(arguments);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command.status().is_ok_and(|status| status.success()))
}
