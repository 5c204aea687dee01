//! "Explain a number": each rule that was asked about a call, and what it said; the very decision the daemon
//! takes ([`model::routing::decide`]).

use crate::error::ApiError;
use crate::form::Field;
use crate::view::{Cell, Tone, badge, escape};
use model::routing::{Decision, Outcome, Rule, Step, Verdict};
use std::fmt::Write as _;

/// The form, and below it the answer if there is one. It is a GET, so an explanation is a link.
#[must_use]
pub fn explain_page(from: &str, to: &str, answer: Option<Result<Decision, ApiError>>) -> String {
    let mut html = String::from(
        "<p class=\"soft\">Who calls what? Each rule of the plan is asked in order, by the same code that decides real calls.</p><form class=\"card inline\" method=\"get\">",
    );
    for field in [Field::text("from", "Caller", from), Field::text("to", "Dialled digits", to)] {
        // Writing to a String cannot fail.
        let _infallible = write!(
            html,
            "<div class=\"field\"><label for=\"{name}\">{}</label><input id=\"{name}\" name=\"{name}\" value=\"{}\" \
             inputmode=\"tel\" autocomplete=\"off\" required></div>",
            field.label,
            escape(&field.value),
            name = field.name
        );
    }
    html.push_str("<button type=\"submit\">Explain</button></form>");
    match answer {
        None => {}
        Some(Ok(decision)) => html.push_str(&explanation(to, &decision)),
        Some(Err(refusal)) => {
            let _infallible =
                write!(html, "<p class=\"notice bad\" role=\"alert\">{}</p>", escape(&refusal.to_string()));
        }
    }
    html
}

/// A decision as a list of steps.
#[must_use]
pub fn explanation(digits: &str, decision: &Decision) -> String {
    let mut html = format!(
        "<section class=\"card\" aria-label=\"explanation\"><p>{}</p><ol class=\"steps\">",
        outcome(digits, decision)
    );
    for step in &decision.steps {
        let _infallible = write!(html, "<li>{}</li>", line(step));
    }
    html.push_str("</ol></section>");
    html
}

fn outcome(digits: &str, decision: &Decision) -> String {
    let digits = Cell::code(digits);
    let mut html = match &decision.outcome {
        Outcome::Local(who) => {
            format!(
                "{} The phones of {} ring at this member.",
                badge(Tone::Good, "goes through"),
                Cell::code(who)
            )
        }
        Outcome::Elsewhere(who) => format!(
            "{} {digits} leads to {}; the cluster finds the phones.",
            badge(Tone::Good, "goes through"),
            Cell::code(who)
        ),
        Outcome::Refused(cause) => format!(
            "{} {}: SIP {}, Q.850 {}.",
            badge(Tone::Bad, "refused"),
            escape(cause.text()),
            cause.status(),
            cause.q850()
        ),
    };
    if decision.emergency {
        html.push_str(" It is an emergency call: rights and limits do not hold it up.");
    }
    html
}

fn line(step: &Step) -> String {
    let rule = match step.rule {
        Rule::Digits => "Digits",
        Rule::SpecialNumber => "Special number",
        Rule::NumberingPlan => "Numbering plan",
        Rule::FeatureClass => "Feature class",
        Rule::BarredNumbers => "Barred numbers",
        Rule::Target => "Target",
    };
    let (tone, said) = match &step.verdict {
        Verdict::Passes => (Tone::Good, "passes".to_owned()),
        Verdict::NoMatch => (Tone::Idle, "no match".to_owned()),
        Verdict::Matches(entry) => (Tone::Good, format!("matches {entry}")),
        Verdict::Emergency => (Tone::Warn, "emergency number: rights are not asked".to_owned()),
        Verdict::Missing => (Tone::Bad, "does not exist".to_owned()),
        Verdict::BoundHere => (Tone::Good, "a phone is registered here".to_owned()),
        Verdict::AskLocation => (Tone::Busy, "the location table is asked".to_owned()),
        Verdict::AskUplink => (Tone::Busy, "the cluster server is asked".to_owned()),
        Verdict::Refuses(cause) => (Tone::Bad, cause.text().to_owned()),
    };
    format!("<strong>{rule}</strong> {} {}", Cell::code(&step.subject), badge(tone, &said))
}
