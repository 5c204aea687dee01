//! `pleiad console`: the rescue console of a call server, on its own machine, for who can read its state folder.
//!
//! It needs no network, no login and no running process: it looks into the state folder. What it can change is what a
//! machine needs when nobody can get in any more. It never talks to the cluster.

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use ipbx::config::Config;
use ipbx::identity::Identity;
use ipbx::role::Role;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The rescue console of a call server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad console --config ipbx.toml identity
  pleiad console --config ipbx.toml claim-code
  pleiad console --config ipbx.toml reset-password
  pleiad console --config ipbx.toml total-start")]
pub(crate) struct Options {
    /// The settings file of the call server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Dongle id and certificate of this machine
    Identity,
    /// The code a manager claims this machine with, while it is unclaimed
    ClaimCode,
    /// Role, cluster and whether the process runs
    State,
    /// Give the account `admin` of the web administration a new password
    ResetPassword,
    /// TOTAL start: make this machine as empty and unclaimed as a new one
    TotalStart {
        /// The dongle id, typed beforehand, for scripts
        #[arg(long, value_name = "DONGLE-ID")]
        confirm: Option<String>,
    },
}

/// Does one thing and ends.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    match &options.command {
        Command::Identity => identity(&config),
        Command::ClaimCode => claim_code(&config.dir),
        Command::State => state(&config),
        Command::ResetPassword => reset_password(&config).await,
        Command::TotalStart { confirm } => total_start(&config, confirm.as_deref()),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The identity, which only the first start makes: looking must not.
fn known_identity(config: &Config) -> Result<Identity> {
    let made = config.dir.join("identity.json").exists();
    ensure!(made, "{} has no identity yet: start the call server once", config.dir.display());
    Ok(Identity::load_or_make(&config.dir, &config.name, config.bind)?)
}

fn identity(config: &Config) -> Result<()> {
    let identity = known_identity(config)?;
    println!("name         {}", config.name);
    println!("dongle id    {}", identity.dongle_id);
    println!("certificate  {}", identity.fingerprint);
    println!("release      {}", config.release);
    println!("hardware     {}", config.hardware_type);
    Ok(())
}

fn claim_code(dir: &Path) -> Result<()> {
    match std::fs::read_to_string(dir.join("claim-code")) {
        Ok(code) => println!("{}", code.trim()),
        Err(_) => bail!(
            "there is no claim code: this machine is claimed by a manager, or was never started\n  next: its manager \
             can give it back, or `total-start` makes it new"
        ),
    }
    Ok(())
}

fn state(config: &Config) -> Result<()> {
    let identity = known_identity(config)?;
    let role = Role::load_or_make(&config.dir, &identity, &config.name)?;
    println!("role     {}", role.name().word());
    if let Some(number) = role.node_number() {
        println!("number   {number}");
    }
    let cluster = role.cluster();
    println!("cluster  {} ({}, domain {})", cluster.name, cluster.id, cluster.domain);
    if let Some(address) = role.owner_elsewhere() {
        println!("server   {address}");
    }
    println!("claimed  {}", if config.dir.join("claim-code").exists() { "no" } else { "yes" });
    println!("process  {}", if runs(config) { "answers on its web port" } else { "does not answer" });
    Ok(())
}

fn runs(config: &Config) -> bool {
    let ip = if config.bind.is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { config.bind };
    TcpStream::connect_timeout(&(ip, config.web_port).into(), Duration::from_secs(1)).is_ok()
}

async fn reset_password(config: &Config) -> Result<()> {
    ensure!(!runs(config), "the call server runs: stop it first (systemctl stop pleiad-ipbx)");
    known_identity(config)?;
    let password = ipbx::rescue::reset_admin_password(config).await?;
    println!("admin {password}");
    println!("it must be changed at the next login");
    Ok(())
}

/// Empties the state folder, once the operator has typed which machine this is.
fn total_start(config: &Config, confirmed: Option<&str>) -> Result<()> {
    ensure!(!runs(config), "the call server runs: stop it first (systemctl stop pleiad-ipbx)");
    let identity = known_identity(config)?;
    let dongle = identity.dongle_id.as_str();
    let typed = match confirmed {
        Some(text) => text.to_owned(),
        None => {
            println!("TOTAL start of {} ({dongle})", config.name);
            println!(
                "Everything in {} is deleted: role, subscribers, records, identity.",
                config.dir.display()
            );
            println!("Its manager must claim it again. There is no way back.");
            println!("Type the dongle id to go on:");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).context("nothing was typed")?;
            line.trim().to_owned()
        }
    };
    ensure!(typed == dongle, "'{typed}' is not {dongle}: nothing was deleted");
    for entry in
        std::fs::read_dir(&config.dir).with_context(|| format!("cannot read {}", config.dir.display()))?
    {
        let path = entry?.path();
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.with_context(|| format!("cannot delete {}", path.display()))?;
    }
    println!("{} is empty: the next start makes a new machine", config.dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, Config, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::with_dir(folder.path().join("state"));
        config.web_port = 1; // nobody listens there
        std::fs::create_dir(&config.dir).unwrap();
        let identity = Identity::load_or_make(&config.dir, &config.name, config.bind).unwrap();
        (folder, config, identity.dongle_id.to_string())
    }

    #[tokio::test]
    async fn a_new_password_is_made_for_a_machine_that_does_not_run() {
        let (_folder, config, _) = machine();
        let (first, second) = (
            ipbx::rescue::reset_admin_password(&config).await.unwrap(),
            ipbx::rescue::reset_admin_password(&config).await.unwrap(),
        );
        assert!(first.len() >= 12 && first != second);
        reset_password(&config).await.unwrap();
    }

    #[test]
    fn a_total_start_with_the_wrong_word_deletes_nothing() {
        let (_folder, config, dongle) = machine();
        assert!(total_start(&config, Some("yes")).is_err());
        assert_eq!(known_identity(&config).unwrap().dongle_id.as_str(), dongle);
    }

    #[test]
    fn a_total_start_makes_a_new_machine() {
        let (_folder, config, dongle) = machine();
        total_start(&config, Some(&dongle)).unwrap();
        assert!(known_identity(&config).is_err());
        let new = Identity::load_or_make(&config.dir, &config.name, config.bind).unwrap();
        assert_ne!(new.dongle_id.as_str(), dongle);
    }
}
