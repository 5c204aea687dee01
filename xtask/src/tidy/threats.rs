//! Each row of `docs/design/threats.md` has a test, and each test it names exists.

use super::Finding;
use super::source::Source;
use std::collections::BTreeSet;

/// The table.
pub(super) const FILE: &str = "docs/design/threats.md";

pub(super) fn check(table: &str, sources: &[Source]) -> Vec<Finding> {
    let tests: BTreeSet<String> = sources.iter().flat_map(|source| tests_in(&source.text)).collect();
    findings(table, &tests)
}

fn findings(table: &str, tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in table.lines().enumerate() {
        let mut report = |message: String| {
            findings.push(Finding { rule: "threats", file: FILE.to_owned(), line: index + 1, message });
        };
        let row = line.strip_prefix("| ").and_then(|line| line.split(' ').next());
        let is_row = row.is_some_and(|row| row.parse::<u32>().is_ok());
        let named: Vec<&str> = line.split('`').filter(|word| is_name(word)).collect();
        if is_row && named.is_empty() {
            report("this row has no test: write one named `threat_NN_…`".to_owned());
        }
        for name in named.iter().filter(|name| !tests.contains(**name)) {
            report(format!("there is no test `{name}`: correct its name here"));
        }
    }
    findings
}

fn is_name(word: &str) -> bool {
    word.starts_with("threat_") && !word.contains('…')
}

/// The functions of this text that are named after a row.
fn tests_in(text: &str) -> BTreeSet<String> {
    let name = |piece: &str| {
        let end = piece.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        piece.get(..end.unwrap_or(piece.len())).map(|name| name.to_owned())
    };
    text.split("fn ").filter(|piece| is_name(piece)).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_and_a_test_that_is_not_there_are_found() {
        let tests = tests_in("#[test]\nfn threat_01_it_holds() {}\nasync fn threat_02_too<T>() {}");
        let table = "| # | x |\n| 1 | a | `threat_01_it_holds` |\n| 2 | b | `threat_02_gone`, `threat_02_too` |\n| 3 | c | |\n";
        let lines: Vec<usize> = findings(table, &tests).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 4]);
    }
}
