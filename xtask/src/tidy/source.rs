//! A Rust file as the rules see it: its text, its syntax, which lines are tests, and every path it names.

use anyhow::{Context, Result};
use proc_macro2::{LineColumn, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One parsed file.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) syntax: syn::File,
}

/// A name with `::` in it, written out by the file's `use` lines, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: String,
    pub(super) line: usize,
}

/// What the code of a file refers to, its tests left out.
#[derive(Default)]
pub(super) struct References {
    /// Paths in `use` lines, types and expressions, macro bodies included.
    pub(super) paths: Vec<Named>,
    /// Names of methods called.
    pub(super) methods: Vec<Named>,
    /// Names of macros called.
    pub(super) macros: Vec<Named>,
    /// Lines of `async` functions and blocks.
    pub(super) asyncs: Vec<usize>,
}

impl Source {
    pub(super) fn parse(file: &str, text: String) -> Result<Source> {
        let syntax = syn::parse_file(&text).with_context(|| format!("{file} is not Rust"))?;
        Ok(Source { file: file.to_owned(), text, syntax })
    }

    /// The crate this file belongs to: the folder under `crates/`, or `xtask`.
    pub(super) fn crate_name(&self) -> &str {
        let mut parts = self.file.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            Some(first) => first,
            None => "",
        }
    }

    /// True for a file that holds tests only.
    pub(super) fn is_test(&self) -> bool {
        self.file.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }

    /// The lines that are neither blank nor comment, by number from 1.
    pub(super) fn code_lines(&self) -> BTreeSet<usize> {
        let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        self.text.lines().enumerate().filter(|(_, line)| is_code(line)).map(|(index, _)| index + 1).collect()
    }

    /// First and last line of each item that is compiled for tests only.
    pub(super) fn test_items(&self) -> Vec<(usize, usize)> {
        let items = self.syntax.items.iter().filter(|item| is_for_tests(attributes(item)));
        items.map(lines).collect()
    }

    /// What the code refers to outside its tests.
    pub(super) fn references(&self) -> References {
        if self.is_test() {
            return References::default();
        }
        let mut collector = Collector { aliases: BTreeMap::new(), found: References::default() };
        collector.visit_file(&self.syntax);
        let Collector { aliases, mut found } = collector;
        for named in &mut found.paths {
            named.path = written_out(&aliases, &named.path);
        }
        found
    }
}

/// First and last line of a piece of syntax, its attributes and doc comments left out.
pub(super) fn lines(piece: &impl Spanned) -> (usize, usize) {
    (piece.span().start().line, piece.span().end().line)
}

/// True for `#[cfg(test)]` and `#[test]`.
pub(super) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let gate = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"));
        gate || attribute.path().segments.last().is_some_and(|last| last.ident == "test")
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Collector {
    aliases: BTreeMap<String, String>,
    found: References,
}

impl Collector {
    fn path(&mut self, path: String, at: LineColumn) {
        self.found.paths.push(Named { path, line: at.line });
    }

    fn import(&mut self, before: &str, tree: &syn::UseTree) {
        let join = |name: &syn::Ident| {
            if before.is_empty() { name.to_string() } else { format!("{before}::{name}") }
        };
        match tree {
            syn::UseTree::Path(path) => self.import(&join(&path.ident), &path.tree),
            syn::UseTree::Name(name) => {
                let full = if name.ident == "self" { before.to_owned() } else { join(&name.ident) };
                let last = full.rsplit("::").next().unwrap_or_default().to_owned();
                self.aliases.insert(last, full.clone());
                self.path(full, name.ident.span().start());
            }
            syn::UseTree::Rename(rename) => {
                let full = join(&rename.ident);
                self.aliases.insert(rename.rename.to_string(), full.clone());
                self.path(full, rename.ident.span().start());
            }
            syn::UseTree::Glob(glob) => self.path(format!("{before}::*"), glob.star_token.span().start()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(before, item)),
        }
    }

    /// Macro bodies are not syntax yet: paths and calls are picked out of the tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = String::new();
        let mut at = LineColumn { line: 0, column: 0 };
        let mut before = ' ';
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if before == ':' && !path.is_empty() {
                        path.push_str("::");
                    } else {
                        self.end_of_path(&mut path, at);
                        at = name.span().start();
                    }
                    if before == '.' {
                        self.found
                            .methods
                            .push(Named { path: name.to_string(), line: name.span().start().line });
                    }
                    path.push_str(&name.to_string());
                    before = ' ';
                }
                TokenTree::Punct(mark) => {
                    before = mark.as_char();
                    if before != ':' {
                        self.end_of_path(&mut path, at);
                    }
                }
                TokenTree::Group(group) => {
                    self.end_of_path(&mut path, at);
                    self.tokens(group.stream());
                    before = ' ';
                }
                TokenTree::Literal(_) => self.end_of_path(&mut path, at),
            }
        }
        self.end_of_path(&mut path, at);
    }

    fn end_of_path(&mut self, path: &mut String, at: LineColumn) {
        if path.contains("::") {
            self.path(std::mem::take(path), at);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(names.join("::"), path.span().start());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.found
            .methods
            .push(Named { path: call.method.to_string(), line: call.method.span().start().line });
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        self.found.macros.push(Named { path: name, line: call.span().start().line });
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.found.asyncs.extend(signature.asyncness.map(|word| word.span().start().line));
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.found.asyncs.push(block.async_token.span().start().line);
        visit::visit_expr_async(self, block);
    }
}

fn written_out(aliases: &BTreeMap<String, String>, path: &str) -> String {
    let (first, rest) = path.split_once("::").unwrap_or((path, ""));
    match aliases.get(first) {
        Some(full) if rest.is_empty() => full.clone(),
        Some(full) => format!("{full}::{rest}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_out_by_the_use_lines_also_inside_a_macro() {
        let text = "//! x\nuse std::{fs, time as clock};\nfn f() { fs::read(a); vec![clock::Instant::now()]; }\n\
                    #[cfg(test)] mod tests { fn g() { std::thread::park() } }\n";
        let source = Source::parse("crates/sip/src/a.rs", text.to_owned()).unwrap();
        let paths: Vec<String> = source.references().paths.into_iter().map(|named| named.path).collect();
        assert!(paths.contains(&"std::fs::read".to_owned()), "{paths:?}");
        assert!(paths.contains(&"std::time::Instant::now".to_owned()), "{paths:?}");
        assert!(!paths.iter().any(|path| path.contains("thread")), "tests are left out: {paths:?}");
    }
}
