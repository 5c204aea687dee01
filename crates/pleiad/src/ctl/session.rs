//! Who `ctl` is to the manager: a login remembered in a file of the user's own, or the environment of a script.
//!
//! The first contact learns the fingerprint of the manager's certificate and shows it; from then on only the holder of
//! that certificate is spoken to. A script that has no such file pins with PLEIAD_FINGERPRINT, or trusts the first
//! answer of each run.

use super::Fault;
use super::print::Form;
use crate::secret;
use anyhow::{Context, anyhow};
use clap::Args;
use manager::client::{Client, Fingerprint, Wire};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

const FILE: &str = "session.json";

/// Which manager, as whom. For each command, before the remembered login.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// The manager, HOST:PORT
    #[arg(long, global = true, env = "PLEIAD_MANAGER", value_name = "HOST:PORT")]
    manager: Option<String>,
    /// The account
    #[arg(long, global = true, env = "PLEIAD_USER")]
    user: Option<String>,
    /// The file that holds the password
    #[arg(long, global = true, env = "PLEIAD_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The manager's certificate, as 64 hexadecimal digits, when it is known beforehand
    #[arg(long, global = true, env = "PLEIAD_FINGERPRINT")]
    fingerprint: Option<String>,
}

/// `ctl login` has no words of its own: see [`Access`].
#[derive(Debug, Args)]
pub(super) struct Login {}

/// `ctl password`
#[derive(Debug, Args)]
pub(super) struct NewPassword {
    /// The file that holds the new password; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// What is remembered between commands.
#[derive(Serialize, Deserialize)]
struct Remembered {
    manager: String,
    user: String,
    fingerprint: Fingerprint,
    token: String,
}

/// Logs in and remembers it.
pub(super) async fn login(access: &Access, _login: Login, form: Form) -> Result<(), Fault> {
    let manager = access.manager.clone().ok_or_else(|| Fault::Unclear {
        message: "which manager?".to_owned(),
        next: "pleiad ctl login --manager HOST:7443 --user admin",
    })?;
    let user = access.user.clone().unwrap_or_else(|| "admin".to_owned());
    let fingerprint = certificate(access, &manager, None).await?;
    if form == Form::People {
        println!("certificate  {fingerprint}  (the manager shows the same on its console)");
    }
    let password = match given_password(access)? {
        Some(password) => password,
        None => secret::ask(&format!("password of {user}"))?,
    };
    let mut client = Client::new(&manager, fingerprint)?;
    let answer = client.login(&user, &password).await?;
    remember(&Remembered { manager: manager.clone(), user: user.clone(), fingerprint, token: answer.token })?;
    let mut lines = format!("logged in to {manager} as {user}");
    if answer.must_change {
        lines.push_str("\nnext:  the password is still the first one: pleiad ctl password");
    }
    let said = serde_json::json!({
        "manager": manager, "user": user, "fingerprint": fingerprint, "must_change": answer.must_change,
    });
    form.one(&said, &lines)
}

/// Forgets the login.
pub(super) fn logout(form: Form) -> Result<(), Fault> {
    let file = folder()?.join(FILE);
    match std::fs::remove_file(&file) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow!(fault).context(format!("cannot remove {}", file.display())).into())
        }
        _ => form.one(&serde_json::json!({ "logged_in": false }), "logged out"),
    }
}

/// Chooses a new password.
pub(super) async fn password(client: &Client, new: NewPassword, form: Form) -> Result<(), Fault> {
    let current = match std::env::var("PLEIAD_PASSWORD") {
        Ok(password) => password,
        Err(_) => secret::ask("present password")?,
    };
    let fresh = match &new.new_password_file {
        Some(file) => read_password(file)?,
        None => secret::ask("new password")?,
    };
    client.change_password(&current, &fresh).await?;
    form.one(&serde_json::json!({ "changed": true }), "the password is changed")
}

/// A client that is logged in: by the environment when it names a user, else as remembered.
pub(super) async fn client(access: &Access) -> Result<Client, Fault> {
    let remembered = remembered()?;
    if let (Some(user), Some(password)) = (&access.user, given_password(access)?) {
        let known = remembered.as_ref().map(|login| login.manager.clone());
        let manager = access.manager.clone().or(known).ok_or(Fault::NoLogin)?;
        let fingerprint = certificate(access, &manager, remembered.as_ref()).await?;
        let mut client = Client::new(&manager, fingerprint)?;
        client.login(user, &password).await?;
        return Ok(client);
    }
    let login = remembered.ok_or(Fault::NoLogin)?;
    let manager = access.manager.as_ref().unwrap_or(&login.manager);
    Ok(Client::with_token(manager, login.fingerprint, &login.token)?)
}

/// The certificate to pin: as told, as remembered of this manager, or as presented now.
async fn certificate(
    access: &Access,
    manager: &str,
    known: Option<&Remembered>,
) -> Result<Fingerprint, Fault> {
    if let Some(told) = &access.fingerprint {
        return Ok(told.parse().context("--fingerprint")?);
    }
    if let Some(login) = known.filter(|login| login.manager == manager) {
        return Ok(login.fingerprint);
    }
    let wire = Wire::learning(manager)?;
    let _who: manager::view::ManagerView = wire.get("/api/v1/manager").await?;
    Ok(wire.fingerprint_seen().context("the manager presented no certificate")?)
}

fn given_password(access: &Access) -> Result<Option<String>, Fault> {
    if let Some(file) = &access.password_file {
        return Ok(Some(read_password(file)?));
    }
    // Not an argument: arguments are seen by everybody on the machine.
    Ok(std::env::var("PLEIAD_PASSWORD").ok())
}

/// The first line; of `manager.txt`, which is `user password`, the second word.
fn read_password(file: &PathBuf) -> Result<String, Fault> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    Ok(line.split_once(' ').map_or(line, |(_, password)| password.trim()).to_owned())
}

fn folder() -> Result<PathBuf, Fault> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("PLEIAD_CONFIG_DIR") {
        return Ok(folder);
    }
    let config = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    Ok(config.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("pleiad"))
}

fn remembered() -> Result<Option<Remembered>, Fault> {
    let file = folder()?.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let told = || format!("{} is damaged: log in again", file.display());
            Ok(Some(serde_json::from_str(&text).with_context(told)?))
        }
        Err(_) => Ok(None),
    }
}

fn remember(login: &Remembered) -> Result<(), Fault> {
    let folder = folder()?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(secret::write(&folder.join(FILE), &serde_json::to_string(login)?)?)
}
