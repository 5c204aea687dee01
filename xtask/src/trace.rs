//! `cargo xtask trace`: which requirement has which test.
//!
//! A test names a requirement in its own name (`fn dep_28_a_node_with_subscribers_is_refused`) or in its doc comment
//! (`DEP-28`). The rows themselves are a document beside the repository; without it the IDs that tests and
//! `docs/design/rows.toml` name are listed.

use crate::repo::Repo;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// Where the requirements lie, from the top of the repository, unless told.
const REQUIREMENTS: &str = "../shared/spec/REQUIREMENTS.md";

#[derive(Args)]
pub(crate) struct Options {
    /// The document with the requirement rows
    #[arg(long)]
    requirements: Option<String>,
    /// Print every requirement, not just those of the issues
    #[arg(long)]
    all: bool,
    /// End with an error when a row of this issue has no test
    #[arg(long, value_name = "ISSUE")]
    require: Option<u32>,
}

#[derive(Deserialize)]
struct Rows {
    issue: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    number: u32,
    title: String,
    rows: Vec<String>,
}

/// Tests by requirement.
type Tests = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let rows: Rows = toml::from_str(&repo.read("docs/design/rows.toml")?).context("docs/design/rows.toml")?;
    let said = repo.read(options.requirements.as_deref().unwrap_or(REQUIREMENTS)).unwrap_or_default();
    let texts = requirement_texts(&said);
    let tests = tests_of(repo)?;
    if options.all {
        let ids: BTreeSet<&String> = texts.keys().chain(tests.keys()).collect();
        ids.into_iter().for_each(|id| print_row(id, &texts, &tests));
        println!();
    }
    let mut good = true;
    for issue in &rows.issue {
        let ids = expand(&issue.rows)?;
        println!("issue {}, {}: {} rows", issue.number, issue.title, ids.len());
        ids.iter().for_each(|id| print_row(id, &texts, &tests));
        let bare: Vec<&str> = ids.iter().filter(|id| !tests.contains_key(*id)).map(String::as_str).collect();
        println!("issue {}: {} rows without a test: {}", issue.number, bare.len(), bare.join(" "));
        good &= bare.is_empty() || options.require != Some(issue.number);
    }
    Ok(good)
}

fn print_row(id: &str, texts: &BTreeMap<String, String>, tests: &Tests) {
    let text: String = texts.get(id).map(|text| text.chars().take(90).collect()).unwrap_or_default();
    println!("{id}  {text}");
    match tests.get(id) {
        Some(names) => names.iter().for_each(|name| println!("        {name}")),
        None => println!("        (no test)"),
    }
}

/// `| DEP-23 | text | kind | § |` rows of the document.
fn requirement_texts(document: &str) -> BTreeMap<String, String> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let id = cells.next().filter(|id| is_id(id))?;
        Some((id.to_owned(), cells.next()?.to_owned()))
    };
    document.lines().filter_map(row).collect()
}

/// `DEP-23..25, 41` becomes DEP-23, DEP-24, DEP-25, DEP-41.
fn expand(rows: &[String]) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for row in rows {
        let mut prefix = "";
        for part in row.split(',').map(str::trim) {
            let numbers = match part.split_once('-') {
                Some((theme, numbers)) => {
                    prefix = theme;
                    numbers
                }
                None => part,
            };
            let (first, last) = numbers.split_once("..").unwrap_or((numbers, numbers));
            let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
                bail!(
                    "docs/design/rows.toml: '{part}' is neither a row like DEP-23 nor a range like DEP-23..25"
                );
            };
            ids.extend((first..=last).map(|number| format!("{prefix}-{number:02}")));
        }
    }
    Ok(ids)
}

fn tests_of(repo: &Repo) -> Result<Tests> {
    let mut tests = Tests::new();
    for file in repo.files()?.iter().filter(|file| file.ends_with(".rs")) {
        let syntax = syn::parse_file(&repo.read(file)?).with_context(|| format!("{file} is not Rust"))?;
        Named { file, tests: &mut tests }.visit_file(&syntax);
    }
    for file in repo.files()?.iter().filter(|file| file.ends_with(".js") && file.contains("/tests/")) {
        for name in named_in_script(&repo.read(file)?) {
            for id in ids_in_name(&name.replace(' ', "_")) {
                tests.entry(id).or_default().insert(format!("{name} ({file})"));
            }
        }
    }
    Ok(tests)
}

/// The tests of a browser script: `async 'syn_14 a node shows …'() {`.
fn named_in_script(text: &str) -> Vec<String> {
    let name = |line: &str| Some(line.trim().strip_prefix("async '")?.strip_suffix("'() {")?.to_owned());
    text.lines().filter_map(name).collect()
}

struct Named<'a> {
    file: &'a str,
    tests: &'a mut Tests,
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let is_test =
            item.attrs.iter().any(|a| a.path().segments.last().is_some_and(|last| last.ident == "test"));
        if is_test {
            let name = item.sig.ident.to_string();
            let mut ids = ids_in_name(&name);
            ids.extend(item.attrs.iter().flat_map(ids_in_docs));
            for id in ids {
                self.tests.entry(id).or_default().insert(format!("{name} ({})", self.file));
            }
        }
        visit::visit_item_fn(self, item);
    }
}

/// `dep_28_a_node…` and `dcs_16_dep_26_a_release…` name their rows.
fn ids_in_name(name: &str) -> BTreeSet<String> {
    let words: Vec<&str> = name.split('_').collect();
    let pair = |pair: &[&str]| match pair {
        [theme, number] => Some(format!("{}-{number}", theme.to_uppercase())).filter(|id| is_id(id)),
        _ => None,
    };
    words.windows(2).filter_map(pair).collect()
}

fn ids_in_docs(attribute: &syn::Attribute) -> BTreeSet<String> {
    let syn::Meta::NameValue(syn::MetaNameValue { path, value: syn::Expr::Lit(value), .. }) = &attribute.meta
    else {
        return BTreeSet::new();
    };
    let syn::Lit::Str(text) = &value.lit else { return BTreeSet::new() };
    if !path.is_ident("doc") {
        return BTreeSet::new();
    }
    let text = text.value();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| is_id(word)).map(str::to_owned).collect()
}

/// Three capitals, a dash, two digits.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(theme, number)| {
        theme.len() == 3
            && theme.bytes().all(|b| b.is_ascii_uppercase())
            && number.len() == 2
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_test_names_its_rows() {
        let names = named_in_script("const tests = {\n  async 'syn_14 syn_16 read-only'() {\n    must(1);\n");
        assert_eq!(names, ["syn_14 syn_16 read-only"]);
        assert_eq!(ids_in_name(&names[0].replace(' ', "_")).len(), 2);
    }

    #[test]
    fn a_test_names_its_rows_in_its_name_or_in_its_doc_comment() {
        let code = "/// Also SYN-06, and not RFC-3261.\n#[tokio::test]\nasync fn dcs_16_dep_26_a_low_release() {}\n\
                    fn dep_99_is_no_test() {}";
        let mut tests = Tests::new();
        Named { file: "a.rs", tests: &mut tests }.visit_file(&syn::parse_file(code).unwrap());
        let ids: Vec<&str> = tests.keys().map(String::as_str).collect();
        assert_eq!(ids, ["DCS-16", "DEP-26", "SYN-06"]);
    }

    #[test]
    fn ranges_are_written_out_and_nonsense_is_named() {
        let ids = expand(&["DEP-08..10, 41".to_owned(), "PRE-14".to_owned()]).unwrap();
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["DEP-08", "DEP-09", "DEP-10", "DEP-41", "PRE-14"]);
        assert!(expand(&["DEP-x".to_owned()]).is_err());
    }

    #[test]
    fn rows_of_the_document_are_found() {
        let texts = requirement_texts("| ID | Requirement |\n| DEP-23 | A node has a name. | R | 3 |\n");
        assert_eq!(texts.get("DEP-23").map(String::as_str), Some("A node has a name."));
    }
}
