//! The rules that a compiler does not know, each in a file of its own with a bad sample that it catches.
//!
//! | rule | says |
//! | --- | --- |
//! | `walls` | who may use whom, from `docs/design/walls.toml`, against `cargo metadata` |
//! | `pure` | no socket, file, clock, thread, chance or async in a pure crate |
//! | `size` | files and functions stay readable (STYLE 7) |
//! | `leftovers` | nothing half-done, no path of one machine |
//! | `form` | each crate has its lints, its DESIGN.md and module docs |
//! | `threats` | each row of the threat table has a test, and each test it names exists |
//! | `demo` | the demo does nothing that `ctl` cannot do |

mod demo;
mod form;
mod leftovers;
mod pure;
mod size;
mod source;
mod threats;
mod walls;

use crate::repo::Repo;
use anyhow::Result;
use source::Source;
use std::fmt;

/// One thing that is not as it should be, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which rule found it.
    rule: &'static str,
    /// The file, relative to the top.
    file: String,
    /// The line, 0 when the whole file is meant.
    line: usize,
    /// What is wrong and the way out.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, file, line, message } = self;
        if *line == 0 {
            write!(f, "{file}: {message} [{rule}]")
        } else {
            write!(f, "{file}:{line}: {message} [{rule}]")
        }
    }
}

/// True when nothing was found.
pub(crate) fn run(repo: &Repo) -> Result<bool> {
    let findings = findings(repo)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: all rules hold"),
        n => println!("tidy: {n} finding{}", if n == 1 { "" } else { "s" }),
    }
    Ok(findings.is_empty())
}

fn findings(repo: &Repo) -> Result<Vec<Finding>> {
    let walls = walls::Walls::read(&repo.read("docs/design/walls.toml")?)?;
    let files = repo.files()?;
    let mut findings = walls.check(&walls::packages(repo)?);
    let mut sources = Vec::new();
    for file in &files {
        let Ok(text) = repo.read(file) else { continue }; // a picture or a capture is not text
        findings.extend(leftovers::check(file, &text));
        if file.ends_with(".rs") && !file.starts_with("fuzz/") {
            sources.push(Source::parse(file, text)?);
        }
    }
    for source in &sources {
        findings.extend(size::check(source));
        findings.extend(form::check_source(source));
        if walls.is_pure(source.crate_name()) {
            findings.extend(pure::check(source));
        }
    }
    findings.extend(form::check_crates(&files, |file| repo.read(file).unwrap_or_default()));
    findings.extend(threats::check(&repo.read(threats::FILE)?, &sources));
    findings.extend(demo::check(walls.demo(), &sources));
    Ok(findings)
}
