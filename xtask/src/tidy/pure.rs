//! A pure crate touches no socket, file, clock, thread or random source: time and random bytes are arguments,
//! so that the simulator runs the same machines over an invented world (DESIGN § 3, STYLE 1, 10, 11).

use super::Finding;
use super::source::Source;
use std::collections::BTreeSet;
use syn::visit::{self, Visit};

/// Paths that mean a wire to the outside, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "a pure crate has no files: return an output, the shell stores it"),
    ("std::thread", "a pure crate has no threads: the engine loop owns the machine"),
    ("std::process", "a pure crate starts and ends no process: return an error"),
    ("std::env", "a pure crate reads no environment: take it as an argument"),
    ("std::net::TcpStream", "a pure crate has no sockets: return bytes as an output"),
    ("std::net::TcpListener", "a pure crate has no sockets: take bytes as an input"),
    ("std::net::UdpSocket", "a pure crate has no sockets: return bytes as an output"),
    ("std::net::ToSocketAddrs", "a pure crate resolves no names: the shell does"),
    ("std::net::*", "name what is used, so that sockets stay out"),
    ("std::time::Instant", "a pure crate has no clock: take `now: Duration`"),
    ("std::time::SystemTime", "a pure crate has no clock: take `now: Duration`"),
    ("std::time::*", "name what is used, so that the clock stays out"),
    ("std::sync::Mutex", "one loop owns the state: no locks in the core (STYLE 4)"),
    ("std::sync::RwLock", "one loop owns the state: no locks in the core (STYLE 4)"),
    ("std::io::stdin", "a pure crate has no keyboard"),
    ("std::io::stdout", "a pure crate prints nothing: return an output"),
    ("std::collections::hash_map::RandomState", "chance comes in as an argument"),
    ("getrandom", "chance comes in as an argument: draw from a seed"),
    ("rand", "chance comes in as an argument: draw from a seed"),
    ("uuid::Uuid::now_v7", "clock and chance come in as arguments"),
    ("uuid::Uuid::new_v4", "chance comes in as an argument: draw from a seed"),
    ("jiff::Timestamp::now", "a pure crate has no clock: take `now: Duration`"),
    ("jiff::Zoned::now", "a pure crate has no clock: take `now: Duration`"),
    ("tokio", "a pure crate is not async: machines take inputs and give outputs"),
    ("futures_util", "a pure crate is not async: machines take inputs and give outputs"),
];

const MACROS: &[&str] = &["println", "print", "eprintln", "eprint"];

/// Walking through a hash map gives another order in each process.
const WALKS: &[&str] =
    &["drain", "into_iter", "into_keys", "into_values", "iter", "iter_mut", "keys", "values", "values_mut"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let references = source.references();
    let mut findings = Vec::new();
    let mut report = |line: usize, message: String| {
        let finding = Finding { rule: "pure", file: source.file.clone(), line, message };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    for named in &references.paths {
        if let Some((bad, way)) = FORBIDDEN.iter().find(|(bad, _)| begins_with(&named.path, bad)) {
            report(named.line, format!("`{bad}` in a pure crate: {way}"));
        }
    }
    for named in references.macros.iter().filter(|named| MACROS.contains(&named.path.as_str())) {
        report(named.line, format!("`{}!` in a pure crate: return an output", named.path));
    }
    for line in &references.asyncs {
        report(*line, "`async` in a pure crate: machines take inputs and give outputs".to_owned());
    }
    for (line, name) in walked_hashes(source) {
        report(
            line,
            format!("the order of the hash map `{name}` differs from process to process: use a BTreeMap"),
        );
    }
    findings
}

fn begins_with(path: &str, bad: &str) -> bool {
    path.strip_prefix(bad).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Places where something declared in this file as HashMap or HashSet is walked through.
fn walked_hashes(source: &Source) -> Vec<(usize, String)> {
    if source.is_test() {
        return Vec::new();
    }
    let mut declared = Declared::default();
    declared.visit_file(&source.syntax);
    let mut walked = Walked { names: declared.names, found: Vec::new() };
    walked.visit_file(&source.syntax);
    let tests = source.test_items();
    walked.found.retain(|(line, _)| !tests.iter().any(|(first, last)| (first..=last).contains(&line)));
    walked.found
}

#[derive(Default)]
struct Declared {
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let (Some(name), true) = (&field.ident, is_hash(&field.ty)) {
            self.names.insert(name.to_string());
        }
    }

    fn visit_pat_type(&mut self, typed: &'ast syn::PatType) {
        if let (syn::Pat::Ident(name), true) = (&*typed.pat, is_hash(&typed.ty)) {
            self.names.insert(name.ident.to_string());
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let syn::Expr::Call(call) = &*init.expr
            && let syn::Expr::Path(maker) = &*call.func
            && maker.path.segments.iter().any(|segment| is_hash_name(&segment.ident))
        {
            self.names.insert(name.ident.to_string());
        }
        visit::visit_local(self, local);
    }
}

fn is_hash(kind: &syn::Type) -> bool {
    match kind {
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|last| is_hash_name(&last.ident)),
        syn::Type::Reference(reference) => is_hash(&reference.elem),
        _ => false,
    }
}

fn is_hash_name(name: &syn::Ident) -> bool {
    name == "HashMap" || name == "HashSet"
}

struct Walked {
    names: BTreeSet<String>,
    found: Vec<(usize, String)>,
}

impl Walked {
    fn over(&mut self, expression: &syn::Expr) {
        let name = match expression {
            syn::Expr::Field(field) => match &field.member {
                syn::Member::Named(name) => name,
                syn::Member::Unnamed(_) => return,
            },
            syn::Expr::Path(path) => match path.path.get_ident() {
                Some(name) => name,
                None => return,
            },
            syn::Expr::Reference(reference) => return self.over(&reference.expr),
            _ => return,
        };
        if self.names.contains(&name.to_string()) {
            self.found.push((name.span().start().line, name.to_string()));
        }
    }
}

impl<'ast> Visit<'ast> for Walked {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if WALKS.contains(&call.method.to_string().as_str()) {
            self.over(&call.receiver);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_for_loop(&mut self, walk: &'ast syn::ExprForLoop) {
        self.over(&walk.expr);
        visit::visit_expr_for_loop(self, walk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let source = Source::parse("crates/call/src/edge.rs", text.to_owned()).unwrap();
        check(&source).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_pure_crate_that_reaches_outside_is_caught_in_each_way() {
        for bad in [
            "use std::net::UdpSocket;",
            "use std::net::{SocketAddr, TcpStream};",
            "fn f() { std::fs::read(p); }",
            "use std::fs as disk;",
            "fn f() { std::thread::spawn(g); }",
            "use std::time; fn f() { time::Instant::now(); }",
            "fn f() { let t = std::time::SystemTime::now(); }",
            "fn f() { getrandom::fill(&mut b); }",
            "fn f() { rand::random::<u64>(); }",
            "fn f() { tokio::spawn(g); }",
            "async fn f() {}",
            "fn f() { g(async move { 1 }); }",
            "fn f() { println!(\"x\"); }",
            "fn f() { vec![std::fs::read(p)]; }",
            "use uuid::Uuid; fn f() { Uuid::now_v7(); }",
        ] {
            assert_eq!(messages(bad).len(), 1, "{bad}: {:?}", messages(bad));
        }
    }

    #[test]
    fn walking_a_hash_map_is_caught_and_looking_up_is_not() {
        let map = "struct S { legs: HashMap<u8, u8> }";
        assert_eq!(
            messages(&format!("{map} impl S {{ fn f(&self) {{ self.legs.values().count(); }} }}")).len(),
            1
        );
        assert_eq!(
            messages(&format!("{map} impl S {{ fn f(&self) {{ for x in &self.legs {{}} }} }}")).len(),
            1
        );
        assert_eq!(messages("fn f() { let seen = HashSet::new(); for x in seen {} }").len(), 1);
        assert!(messages(&format!("{map} impl S {{ fn f(&self) {{ self.legs.get(&1); }} }}")).is_empty());
    }

    #[test]
    fn addresses_durations_and_tests_are_free() {
        let good = "use std::net::SocketAddr; use std::time::Duration; fn random(rand: u8) {}\n\
                    #[cfg(test)] mod tests { use std::time::Instant; fn f() { std::fs::read(p); } }";
        assert_eq!(messages(good), Vec::<String>::new());
    }
}
