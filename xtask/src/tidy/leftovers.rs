//! Nothing half-done is kept, and nothing that only works on one machine.

use super::Finding;

/// Texts that must not be in any file, with what to do instead.
const LEFTOVERS: &[(&str, &str)] = &[
    (concat!("to", "do!("), "finish it, or leave it out"),
    (concat!("unimple", "mented!("), "finish it, or leave it out"),
    (concat!("db", "g!("), "a debugging aid was left behind"),
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    (concat!("TO", "DO"), "do it, or write an issue"),
    (concat!("XX", "X:"), "do it, or write an issue"),
    (concat!("<<<<", "<<< "), "a merge was left unfinished"),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_foreign(file) {
        return findings;
    }
    for (index, line) in text.lines().enumerate() {
        let mut report = |message: String| {
            findings.push(Finding { rule: "leftovers", file: file.to_owned(), line: index + 1, message });
        };
        for (left, way) in LEFTOVERS.iter().filter(|(left, _)| line.contains(left)) {
            report(format!("`{left}` is left over: {way}"));
        }
        for path in MACHINE_PATHS.iter().filter(|path| names_path(line, path)) {
            report(format!("`{path}…` is a path of one machine: derive it, or take it as an argument"));
        }
    }
    findings
}

/// Files that we carry and did not write, or that record what happened somewhere.
fn is_foreign(file: &str) -> bool {
    let folder = |name: &str| file.split('/').any(|part| part == name);
    folder("vendor")
        || folder("measurements")
        || folder("corpus")
        || folder("torture")
        || file == "Cargo.lock"
}

/// True when `path` stands in `line` as the beginning of a path, not inside a longer one or a URL.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before
            .is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '.' | '-' | '_' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leftover_is_caught() {
        for (left, _) in LEFTOVERS {
            assert_eq!(check("crates/call/src/a.rs", &format!("x\n  {left})\n")).len(), 1, "{left}");
        }
        assert!(check("crates/call/src/a.rs", "fn todo_list() {}").is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_caught_and_a_relative_one_is_not() {
        for path in MACHINE_PATHS {
            assert_eq!(check("README.md", &format!("see {path}x")).len(), 1, "{path}");
            assert_eq!(check(".ci/run", &format!("{path}x")).len(), 1, "{path}");
            assert!(check("README.md", &format!("https://example.org{path}x, ./net{path}x")).is_empty());
        }
    }
}
