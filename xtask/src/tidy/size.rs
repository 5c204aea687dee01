//! Files under 600 lines of code, functions under 70 (STYLE 7). Blank lines and comments are free; a file's
//! unit tests count apart, with the same limit.

use super::Finding;
use super::source::{Source, lines};
use std::collections::BTreeSet;
use syn::visit::{self, Visit};

/// Lines of code in a file, and in its tests.
const FILE_LINES_MAX: usize = 600;
/// Lines of code in a function.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let code = source.code_lines();
    let tests: usize = source.test_items().iter().map(|(first, last)| code.range(first..=last).count()).sum();
    let finding = |line, message| Finding { rule: "size", file: source.file.clone(), line, message };
    let mut findings = Vec::new();
    for (what, count) in [("code", code.len() - tests), ("unit tests", tests)] {
        if count > FILE_LINES_MAX {
            findings.push(finding(
                0,
                format!("{count} lines of {what}, {FILE_LINES_MAX} are the limit: give a noun or verb its own file"),
            ));
        }
    }
    let mut functions = Functions { code: &code, long: Vec::new() };
    functions.visit_file(&source.syntax);
    findings.extend(functions.long.into_iter().map(|(line, name, count)| {
        let limit = FUNCTION_LINES_MAX;
        finding(
            line,
            format!("function `{name}` has {count} lines of code, {limit} are the limit: name its steps"),
        )
    }));
    findings
}

struct Functions<'a> {
    code: &'a BTreeSet<usize>,
    long: Vec<(usize, String, usize)>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (lines(signature).0, lines(block).1);
        let count = self.code.range(first..=last).count();
        if count > FUNCTION_LINES_MAX {
            self.long.push((first, signature.ident.to_string(), count));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: String) -> Vec<String> {
        let source = Source::parse("crates/call/src/edge.rs", text).unwrap();
        check(&source).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_file_of_601_lines_is_caught_and_its_tests_and_comments_are_free() {
        assert_eq!(messages("const A: u8 = 1;\n".repeat(601)).len(), 1);
        assert!(messages("const A: u8 = 1;\n// why\n\n".repeat(600)).is_empty());
        let with_tests = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "const A: u8 = 1;\n".repeat(500),
            "const B: u8 = 1;\n".repeat(500)
        );
        assert!(messages(with_tests).is_empty());
    }

    #[test]
    fn a_function_of_71_lines_is_caught_wherever_it_stands() {
        let body = "g();\n".repeat(69);
        assert_eq!(messages(format!("fn f() {{\n{body}}}\n")).len(), 1);
        assert_eq!(messages(format!("impl S {{ fn f() {{\n{body}}}\n}}")).len(), 1);
        assert_eq!(messages(format!("mod tests {{ fn f() {{\n{body}}}\n}}")).len(), 1);
        assert!(messages(format!("fn f() {{\n{}}}\n", "g();\n".repeat(68))).is_empty());
    }
}
