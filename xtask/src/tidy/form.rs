//! The form of a crate: the workspace's lints, a DESIGN.md, and module docs that say what a file is.

use super::Finding;
use super::source::Source;

pub(super) fn check_source(source: &Source) -> Vec<Finding> {
    let opens_with_docs = source.text.trim_start().starts_with("//!");
    let finding = |line, message: &str| Finding {
        rule: "form",
        file: source.file.clone(),
        line,
        message: message.to_owned(),
    };
    let mut findings = Vec::new();
    if !opens_with_docs {
        findings.push(finding(1, "a file opens with `//!`: what it is, what it is not (STYLE 14)"));
    }
    let lines = source.text.lines().enumerate().filter(|_| !source.is_test());
    for (index, line) in lines {
        if line.trim_start().starts_with(concat!("#![al", "low(")) {
            findings.push(finding(
                index + 1,
                "lints are not switched off for a whole file: `#[expect(…, reason)]` at the place",
            ));
        }
    }
    findings
}

/// Looks at the manifests among `files`; `read` gives a file's text.
pub(super) fn check_crates(files: &[String], read: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in files.iter().filter(|file| file.starts_with("crates/") && file.ends_with("/Cargo.toml")) {
        let mut report = |message: &str| {
            findings.push(Finding {
                rule: "form",
                file: manifest.clone(),
                line: 0,
                message: message.to_owned(),
            });
        };
        if !read(manifest).contains("[lints]\nworkspace = true") {
            report("the crate does not take the workspace's lints: add `[lints] workspace = true`");
        }
        if !files.contains(&manifest.replace("Cargo.toml", "DESIGN.md")) {
            report("the crate has no DESIGN.md: what it is, why so, which ways were rejected (STYLE 27)");
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_module_docs_and_with_lints_off_is_caught() {
        let text = format!("{}dead_code)]\nfn f() {{}}\n", concat!("#![al", "low("));
        let source = Source::parse("crates/sip/src/a.rs", text).unwrap();
        assert_eq!(check_source(&source).len(), 2);
        let good = Source::parse("crates/sip/src/a.rs", "//! What it is.\nfn f() {}\n".to_owned()).unwrap();
        assert!(check_source(&good).is_empty());
    }

    #[test]
    fn a_crate_without_lints_or_design_page_is_caught() {
        let files = ["crates/sip/Cargo.toml".to_owned()];
        assert_eq!(check_crates(&files, |_| "[package]".to_owned()).len(), 2);
        let files = ["crates/sip/Cargo.toml".to_owned(), "crates/sip/DESIGN.md".to_owned()];
        assert!(check_crates(&files, |_| "[lints]\nworkspace = true\n".to_owned()).is_empty());
    }
}
