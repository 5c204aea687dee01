//! `phones.csv`: `extension,password,registrar`, readable by its owner only. The demo chooses the passwords and
//! writes this file *before* it gives them to the cluster server, so that an interrupted first start loses none.

use super::plan::Plan;
use crate::secret::{self, random_password};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

const FILE: &str = "phones.csv";
const HEADER: &str = "extension,password,registrar";

/// A phone's line.
#[derive(Clone)]
pub(super) struct Phone {
    pub(super) extension: String,
    pub(super) password: String,
    pub(super) registrar: SocketAddr,
}

/// The phones as they were written down, none when they never were.
pub(super) fn read(dir: &Path) -> Result<Option<Vec<Phone>>> {
    let file = dir.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            text.lines().skip(1).map(parse).collect::<Result<Vec<Phone>>>().map(Some).with_context(|| {
                format!("{} is damaged: delete it, and the next start makes new passwords", file.display())
            })
        }
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Chooses new passwords for every phone of the plan and writes them down.
pub(super) fn make(plan: &Plan, dir: &Path) -> Result<Vec<Phone>> {
    let mut phones = Vec::new();
    for member in plan.members() {
        for extension in member.extensions {
            let registrar = plan.at(member, member.sip_port);
            phones.push(Phone { extension: extension.to_owned(), password: random_password()?, registrar });
        }
    }
    let mut text = format!("{HEADER}\n");
    for Phone { extension, password, registrar } in &phones {
        writeln!(text, "{extension},{password},{registrar}")?;
    }
    secret::write(&dir.join(FILE), &text)?;
    Ok(phones)
}

fn parse(line: &str) -> Result<Phone> {
    let mut fields = line.split(',');
    let (Some(extension), Some(password), Some(registrar)) = (fields.next(), fields.next(), fields.next())
    else {
        bail!("'{line}' is not {HEADER}");
    };
    let registrar = registrar.parse().with_context(|| format!("'{registrar}' is no address"))?;
    Ok(Phone { extension: extension.to_owned(), password: password.to_owned(), registrar })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Ground;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn passwords_are_kept_for_the_owner_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(Ground::Loopback("127.0.0.1".parse().unwrap()), "pleiad.test");
        assert!(read(folder.path()).unwrap().is_none());
        let made = make(&plan, folder.path()).unwrap();
        let found = read(folder.path()).unwrap().unwrap();
        assert_eq!(made.len(), 6);
        assert!(made.iter().zip(&found).all(|(a, b)| a.extension == b.extension && a.password == b.password));
        assert!(made.iter().all(|phone| phone.password.len() >= 16), "DESIGN § 8");
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
