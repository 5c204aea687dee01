//! The demo is no special path: it starts processes and drives the manager's own API, with those functions of
//! the client that `pleiad ctl` uses too (DESIGN § 4, § 10). So whatever the demo shows, an administrator can do.

use super::Finding;
use super::source::Source;
use super::walls::Demo;
use std::collections::BTreeSet;
use syn::visit::{self, Visit};

/// Our crates, none of which the demo may name but the client.
const OURS: &[&str] =
    &["call", "cluster", "ipbx", "manager", "media", "sip", "store", "testkit", "web", "rusqlite"];

pub(super) fn check(demo: &Demo, sources: &[Source]) -> Vec<Finding> {
    let within = |folder: &str| {
        let (inside, file) = (format!("{folder}/"), format!("{folder}.rs"));
        sources.iter().filter(move |source| source.file.starts_with(&inside) || source.file == file)
    };
    let offered = client_functions(within(&demo.client_source));
    let allowed: BTreeSet<String> = within(&demo.measure).flat_map(called).map(|(name, _)| name).collect();
    let mut findings = Vec::new();
    for source in within(&demo.folder) {
        let mut report = |line, message| {
            findings.push(Finding { rule: "demo", file: source.file.clone(), line, message });
        };
        let own = modules(source);
        for named in source.references().paths {
            let first = named.path.split("::").next().unwrap_or_default();
            let foreign = named.path.contains("::") && OURS.contains(&first) && !own.contains(first);
            if foreign && !demo.client.iter().any(|client| named.path.starts_with(client)) {
                let client = demo.client.join("` and `");
                report(named.line, format!("the demo names `{}`: it may use `{client}` only", named.path));
            }
        }
        for (name, line) in called(source) {
            if offered.contains(&name) && !allowed.contains(&name) {
                report(
                    line,
                    format!(
                        "the demo calls `{name}`, which `pleiad ctl` does not: give ctl the command first"
                    ),
                );
            }
        }
    }
    findings
}

/// The modules a file declares: `mod call;` hides a crate of that name.
fn modules(source: &Source) -> BTreeSet<String> {
    let name = |item: &syn::Item| match item {
        syn::Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    };
    source.syntax.items.iter().filter_map(name).collect()
}

/// The public functions of the client: nearly each is one request to the manager.
fn client_functions<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<String> {
    let mut requests = Requests::default();
    for source in sources.filter(|source| source.file.contains("client")) {
        requests.visit_file(&source.syntax);
    }
    requests.names
}

#[derive(Default)]
struct Requests {
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Requests {
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.names.insert(item.sig.ident.to_string());
        }
        visit::visit_impl_item_fn(self, item);
    }
}

/// Names of methods and associated functions called, with the line.
fn called(source: &Source) -> Vec<(String, usize)> {
    let references = source.references();
    let functions = references.paths.into_iter().filter(|named| named.path.contains("::")).map(|named| {
        let last = named.path.rsplit("::").next().unwrap_or_default().to_owned();
        (last, named.line)
    });
    references.methods.into_iter().map(|named| (named.path, named.line)).chain(functions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(demo_code: &str) -> Vec<Finding> {
        let demo = Demo {
            folder: "crates/pleiad/src/demo".to_owned(),
            client: vec!["manager::client".to_owned()],
            client_source: "crates/manager/src".to_owned(),
            measure: "crates/pleiad/src/ctl".to_owned(),
        };
        let source = |file: &str, text: &str| Source::parse(file, text.to_owned()).unwrap();
        let sources = [
            source(
                "crates/manager/src/client.rs",
                "impl Client { pub async fn claim(&self) {} pub async fn secret_door(&self) {} }",
            ),
            source("crates/pleiad/src/ctl/machine.rs", "fn f(c: Client) { c.claim(); }"),
            source("crates/pleiad/src/demo/deploy.rs", demo_code),
        ];
        check(&demo, &sources)
    }

    #[test]
    fn a_demo_that_does_what_ctl_cannot_is_caught() {
        assert_eq!(verdict("fn f(c: Client) { c.claim(); c.secret_door(); }").len(), 1);
        assert_eq!(verdict("fn f(c: Client) { manager::client::Client::secret_door(c); }").len(), 1);
        assert_eq!(verdict("use store::Store;").len(), 1);
        assert_eq!(verdict("fn f() { ipbx::run(c); }").len(), 1);
        assert_eq!(verdict("use manager::topology::Region;").len(), 1);
    }

    #[test]
    fn a_demo_that_does_what_ctl_does_is_free() {
        assert_eq!(
            verdict("use manager::client::Client; fn f(c: Client) { c.claim(); c.len(); }"),
            Vec::new()
        );
    }
}
