//! The table of every state of a call and every event, as `docs/design/calls.md` prints it for people: what is done to a
//! call in that state, and what each phone hears of it.

use crate::inside::talk;
use crate::phone::{Phone, PhoneCall};
use crate::world::{Make, World};
use call::Input;
use sip::{Dialog, Method, Name, Status};

const DOCUMENT: &str = include_str!("../../../../docs/design/calls.md");

const CALLER: &str = "2101";
const CALLED: &str = "2102";
/// To whom a call is transferred, and the other phone of the called subscriber.
const TARGET: &str = "2002";
const TWIN: &str = "twin";

type Setup = fn(&mut World);
type Event = fn(&mut World);

const STATES: [(&str, Setup); 10] = [
    ("ringing", ringing),
    ("early", early),
    ("unacknowledged", unacknowledged),
    ("talking", |world| talk(world, CALLER, CALLED)),
    ("modifying", modifying),
    ("transferring", transferring),
    ("left alone", left_alone),
    ("parting", parting),
    ("picking up", picking_up),
    ("taking", taking),
];

const EVENTS: [(&str, Event); 19] = [
    ("caller BYE", |world| ask(world, CALLER, Method::Bye, None)),
    ("caller CANCEL", |world| world.phone(CALLER).cancel()),
    ("caller re-INVITE", |world| ask(world, CALLER, Method::Invite, Some("hold"))),
    ("caller UPDATE", |world| ask(world, CALLER, Method::Update, Some("new"))),
    ("caller PRACK", |world| ask(world, CALLER, Method::Prack, None)),
    ("caller INFO", |world| ask(world, CALLER, Method::Info, Some("5"))),
    ("caller OPTIONS", |world| ask(world, CALLER, Method::Options, None)),
    ("caller REFER", |world| refer(world, CALLER)),
    ("called BYE", |world| ask(world, CALLED, Method::Bye, None)),
    ("called re-INVITE", |world| ask(world, CALLED, Method::Invite, Some("hold"))),
    ("called UPDATE", |world| ask(world, CALLED, Method::Update, Some("new"))),
    ("called INFO", |world| ask(world, CALLED, Method::Info, Some("5"))),
    ("called OPTIONS", |world| ask(world, CALLED, Method::Options, None)),
    ("called REFER", |world| refer(world, CALLED)),
    ("called answers", |world| answers(world, CALLED)),
    ("called refuses", |world| refuses(world, CALLED)),
    ("target answers", |world| answers(world, TARGET)),
    ("target refuses", |world| refuses(world, TARGET)),
    ("operator ends it", operator),
];

fn ringing(world: &mut World) {
    world.phone(CALLER).call(CALLED);
    world.wait_ms(300);
    world.phone(CALLER).remember_early();
    dialog_of_called(world);
}

fn dialog_of_called(world: &mut World) {
    let call = world.phone(CALLED).call.as_mut().unwrap();
    if call.early.is_none() {
        call.early = Dialog::as_callee(&call.invite, &call.tag).ok();
    }
}

fn early(world: &mut World) {
    world.phone(CALLER).says.push((Name::Supported, "100rel".to_owned()));
    world.phone(CALLER).call(CALLED);
    world.wait_ms(200);
    world.phone(CALLED).progress_reliably(Status::SESSION_PROGRESS, Some("early"));
    world.wait_ms(300);
    world.phone(CALLER).says.clear();
}

fn unacknowledged(world: &mut World) {
    world.phone(CALLER).keeps_ack = true;
    world.phone(CALLER).call(CALLED);
    world.wait_ms(300);
    world.phone(CALLED).answer();
    world.wait_ms(100);
}

fn modifying(world: &mut World) {
    talk(world, CALLER, CALLED);
    world.phone(CALLED).thinks = true;
    world.phone(CALLER).hold();
    world.wait_ms(100);
}

fn transferring(world: &mut World) {
    talk(world, CALLER, CALLED);
    world.phone(CALLED).transfer(TARGET);
    world.wait_ms(300);
}

fn left_alone(world: &mut World) {
    transferring(world);
    let dialog = world.phone(CALLED).call.as_mut().unwrap().dialog.clone();
    world.phone(CALLED).hang_up();
    world.wait_ms(100);
    // It may still do something in the dialog it has left.
    let call =
        world.phone(CALLED).requests.iter().find(|request| *request.method() == Method::Invite).cloned();
    let mut call = PhoneCall::new(call.unwrap(), None, None, "left".to_owned(), false);
    call.dialog = dialog;
    call.dialog.as_mut().unwrap().local_cseq += 1;
    world.phone(CALLED).call = Some(call);
}

fn parting(world: &mut World) {
    transferring(world);
    world.phone(TARGET).answer();
    world.wait_ms(300);
}

fn picking_up(world: &mut World) {
    world.twin_of(CALLED, TWIN);
    ringing(world);
    world.phone(TWIN).thinks = true;
    twin_takes(world);
}

fn taking(world: &mut World) {
    world.twin_of(CALLED, TWIN);
    talk(world, CALLER, CALLED);
    world.phone(CALLER).thinks = true;
    twin_takes(world);
}

fn twin_takes(world: &mut World) {
    let dialog = world.phone(CALLED).call.as_mut().and_then(PhoneCall::any_dialog).unwrap();
    let (ours, theirs) = (dialog.local_tag().to_owned(), dialog.remote_tag().to_owned());
    let replaces = format!("{};to-tag={ours};from-tag={theirs}", dialog.call_id);
    world.phone(TWIN).says.push((Name::Replaces, replaces));
    world.phone(TWIN).call(CALLED);
    world.wait_ms(300);
}

/// A request inside the dialog of a phone, if it has one.
fn ask(world: &mut World, who: &str, method: Method, words: Option<&str>) {
    let has_dialog = |phone: &mut Phone| phone.call.as_mut().and_then(PhoneCall::any_dialog).is_some();
    if has_dialog(world.phone(who)) {
        world.phone(who).inside(method, words);
    }
}

fn refer(world: &mut World, who: &str) {
    world.phone(who).refer("<sip:2001@pleiad.test>", &[]);
}

fn answers(world: &mut World, who: &str) {
    if world.phone(who).rings() {
        world.phone(who).answer();
    }
}

fn refuses(world: &mut World, who: &str) {
    if world.phone(who).rings() {
        world.phone(who).stop_ringing();
    }
}

fn operator(world: &mut World) {
    if let Some(view) = world.members[&1].edge.calls().first() {
        let call = view.call;
        world.tell(1, Input::HangUp(call));
    }
}

/// What happens to a call in a state: what each phone hears, and whether the call is over.
fn cell(setup: Setup, event: Event, name: &str) -> String {
    let mut world = World::new(Make::PLAIN);
    world.change(model::Kind::FeatureClass, "inside", "{}");
    setup(&mut world);
    for phone in world.phones.values_mut() {
        phone.heard.clear();
        phone.responses.clear();
    }
    let happens = match name {
        "caller CANCEL" => world.phone(CALLER).calls(),
        "target answers" | "target refuses" => world.phone(TARGET).rings(),
        "called answers" | "called refuses" => world.phone(CALLED).rings(),
        _ => true,
    };
    if !happens {
        return "–".to_owned();
    }
    event(&mut world);
    world.wait_ms(400);
    let over = world.members[&1].edge.calls().is_empty();
    let mut said: Vec<String> = Vec::new();
    for (number, letter) in [(CALLER, "A"), (CALLED, "B"), (TARGET, "C"), (TWIN, "D")] {
        if let Some(phone) = world.phones.get(number).filter(|phone| !phone.heard.is_empty()) {
            said.push(format!("{letter} {}", phone.heard.join(" ")));
        }
        let mut byes = world.phones.get(number).into_iter().flat_map(|phone| &phone.responses);
        let bye = byes.rfind(|response| response.cseq().method == Method::Bye);
        if let Some(bye) = bye.and_then(|bye| bye.status()) {
            said.push(format!("{letter} BYE {bye}"));
        }
    }
    let said = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
    if over { format!("**over** {said}") } else { said }
}

#[test]
fn every_state_of_a_call_and_every_event_is_in_the_table() {
    let mut table = String::from("| event |");
    STATES.iter().for_each(|(state, _)| table.push_str(&format!(" {state} |")));
    table.push_str("\n|---|");
    STATES.iter().for_each(|_| table.push_str("---|"));
    table.push('\n');
    for (name, event) in EVENTS {
        table.push_str(&format!("| {name} |"));
        for (_, setup) in STATES {
            table.push_str(&format!(" {} |", cell(setup, event, name)));
        }
        table.push('\n');
    }
    assert!(DOCUMENT.contains(&table), "docs/design/calls.md should have this table:\n\n{table}");
}
