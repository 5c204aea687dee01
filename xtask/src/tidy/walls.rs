//! Who may use whom: the table `docs/design/walls.toml` against what `cargo metadata` says.

use super::Finding;
use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Walls {
    crates: BTreeMap<String, Crate>,
    #[serde(default)]
    fences: BTreeMap<String, BTreeSet<String>>,
    demo: Demo,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crate {
    #[serde(default)]
    pure: bool,
    uses: BTreeSet<String>,
}

/// Where the demo lies, and what it is measured by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Demo {
    pub(super) folder: String,
    pub(super) client: Vec<String>,
    pub(super) client_source: String,
    pub(super) measure: String,
}

/// A package of the workspace with what its manifest names, whatever it is needed for.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
}

/// The packages of this workspace.
pub(super) fn packages(repo: &Repo) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let text = repo.capture("cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata has an unknown form")?;
    Ok(metadata.packages)
}

impl Walls {
    pub(super) fn read(text: &str) -> Result<Walls> {
        toml::from_str(text).context("docs/design/walls.toml")
    }

    pub(super) fn is_pure(&self, name: &str) -> bool {
        self.crates.get(name).is_some_and(|entry| entry.pure)
    }

    pub(super) fn demo(&self) -> &Demo {
        &self.demo
    }

    pub(super) fn check(&self, packages: &[Package]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for package in packages {
            let mut report = |message: String| {
                let file = manifest_of(&package.name);
                findings.push(Finding { rule: "walls", file, line: 0, message });
            };
            let Some(entry) = self.crates.get(&package.name) else {
                report("the crate is not in docs/design/walls.toml: decide what it may use".to_owned());
                continue;
            };
            for Dependency { name } in &package.dependencies {
                let ours = packages.iter().any(|other| other.name == *name);
                if ours && !entry.uses.contains(name) {
                    report(format!("`{}` must not use `{name}` (docs/design/walls.toml)", package.name));
                }
                if self.fences.get(name).is_some_and(|users| !users.contains(&package.name)) {
                    report(format!(
                        "only {:?} may use the foreign crate `{name}` directly",
                        self.fences.get(name)
                    ));
                }
            }
        }
        findings
    }
}

fn manifest_of(name: &str) -> String {
    if name == "xtask" { "xtask/Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [crates.sip]
        pure = true
        uses = []
        [crates.store]
        uses = []
        [crates.call]
        uses = ["sip"]
        [fences]
        rusqlite = ["store"]
        [demo]
        folder = "d"
        client = ["c"]
        client_source = "s"
        measure = "m"
    "#;

    fn package(name: &str, uses: &[&str]) -> Package {
        let dependencies = uses.iter().map(|name| Dependency { name: (*name).to_owned() }).collect();
        Package { name: name.to_owned(), dependencies }
    }

    #[test]
    fn a_forbidden_dependency_between_crates_is_caught() {
        let walls = Walls::read(TABLE).unwrap();
        let good = [package("sip", &[]), package("call", &["sip", "serde"]), package("store", &["rusqlite"])];
        assert_eq!(walls.check(&good), Vec::new());
        let upward = [package("sip", &["call"]), package("call", &["sip"])];
        assert_eq!(walls.check(&upward).len(), 1, "a pure crate that uses its user");
        assert_eq!(walls.check(&[package("call", &["rusqlite"])]).len(), 1, "a database beside the store");
        assert_eq!(walls.check(&[package("helpers", &[])]).len(), 1, "a crate nobody decided on");
    }

    #[test]
    fn the_table_of_this_repository_is_readable_and_names_the_pure_crates() {
        let walls = Walls::read(include_str!("../../../docs/design/walls.toml")).unwrap();
        for pure in ["model", "sip", "media", "call", "cluster"] {
            assert!(walls.is_pure(pure), "{pure}");
        }
        assert!(!walls.is_pure("ipbx"));
    }
}
