//! The core alone, without sockets: what parsing, answering, proving and a whole call cost in the `sip` crate, and
//! what a transaction keeps. Measured by `cargo bench -p sip --bench micro`, whose table is kept as it is.

use super::super::{Figure, Raw};
use crate::repo::Repo;
use anyhow::{Result, ensure};

/// Width of the first column of the table.
const NAME_WIDTH: usize = 58;

/// What is promised of the core: the start of a line of the table, and the promise.
const GOALS: &[(&str, &str)] = &[
    ("parse INVITE with SDP", ""),
    ("parse REGISTER ", ""),
    ("REGISTER: parse, transaction, 200", "goal <= 5 us"),
    ("digest verify, SHA-256", ""),
    ("INVITE to BYE through two layers", ""),
    ("one REGISTER answered, kept 32 s", "goal <= 1024 bytes"),
];

pub(super) fn run(repo: &Repo, raw: &Raw) -> Result<Vec<Figure>> {
    let table = repo.capture("cargo", &["bench", "--package", "sip", "--bench", "micro"])?;
    print!("{table}");
    raw.keep("sip-micro", &table)?;
    let figures: Vec<Figure> = GOALS.iter().filter_map(|(name, goal)| figure(&table, name, goal)).collect();
    ensure!(figures.len() == GOALS.len(), "the table of the core has other lines than expected");
    Ok(figures)
}

fn figure(table: &str, name: &str, goal: &'static str) -> Option<Figure> {
    let line = table.lines().find(|line| line.starts_with(name))?;
    let (what, rest) = line.split_at_checked(NAME_WIDTH)?;
    let number = rest.split_whitespace().next()?;
    let value = if rest.contains("bytes") { format!("{number} bytes") } else { format!("{number} ns") };
    Some(Figure::new(format!("core, {}", what.trim_end()), value, goal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_a_figure() {
        let name = format!("{:<NAME_WIDTH$}", "parse REGISTER");
        let table = format!("{name}       1353       (1300 - 2372)      2.0  ~500\n");
        let figure = figure(&table, "parse REGISTER ", "").unwrap();
        assert_eq!((figure.what.as_str(), figure.value.as_str()), ("core, parse REGISTER", "1353 ns"));
    }
}
