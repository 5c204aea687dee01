//! Lamps, told as the person with the desk phone sees them (TRM-05): who watches whom, what happens, what the lamp
//! shows.

use crate::inside::talk;
use crate::watcher::Watch;
use crate::world::{Make, World, secret_of, told, told_bare};
use call::{Input, Messages};
use model::Kind;
use sip::Transport;

/// Watching and watched: of one node, of two nodes, and either way with the cluster server.
const PAIRS: [(&str, &str); 4] = [("2101", "2102"), ("2101", "2201"), ("2002", "2201"), ("2101", "2001")];

fn shows(world: &mut World, watcher: &str, watched: &str, what: &str) {
    assert_eq!(world.phone(watcher).lamp(watched), what, "the lamp of {watched} at {watcher}");
}

fn watch(world: &mut World, watcher: &str, watched: &str) {
    world.phone(watcher).watch(watched);
    world.wait_ms(300);
    assert_eq!(world.phone(watcher).watching(watched).status, 200);
}

/// `kill -9` of the member of a phone, and its start.
fn kill(world: &mut World, number: &str) {
    match world.phone(number).member {
        0 => {
            world.kill_cluster_server();
            world.start_cluster_server();
        }
        node => world.restart_node(node),
    }
}

/// The same, before anybody else has to do with it.
fn the_watch<'a>(world: &'a mut World, watcher: &str, watched: &str) -> &'a mut Watch {
    world.phone(watcher).watching(watched)
}

#[test]
fn trm_05_a_lamp_shows_idle_ringing_talking_and_idle() {
    for (watcher, watched) in PAIRS {
        told(|world| {
            watch(world, watcher, watched);
            shows(world, watcher, watched, "idle");
            world.phone("2202").call(watched);
            world.wait_ms(800);
            shows(world, watcher, watched, "early recipient");
            world.phone(watched).answer();
            world.wait_ms(800);
            shows(world, watcher, watched, "confirmed recipient");
            world.phone("2202").hang_up();
            world.wait_ms(800);
            shows(world, watcher, watched, "idle");
            let last = the_watch(world, watcher, watched).bodies.last().cloned().unwrap();
            assert!(last.contains("<state>terminated</state>"), "the end is told: {last}");
            world.all_idle();
        });
    }
}

#[test]
fn trm_05_a_lamp_shows_who_calls_hold_and_several_calls() {
    told(|world| {
        watch(world, "2101", "2201");
        world.phone("2201").call("2001");
        world.wait_ms(800);
        shows(world, "2101", "2201", "early initiator");
        world.phone("2001").answer();
        world.wait_ms(800);
        world.phone("2201").exact_words = Some("v=0\r\ns=hold\r\na=sendonly\r\n".to_owned());
        world.phone("2201").hold();
        world.wait_ms(800);
        shows(world, "2101", "2201", "confirmed initiator held");
        world.phone("2201").exact_words = Some("v=0\r\ns=resume\r\na=sendrecv\r\n".to_owned());
        world.phone("2201").resume();
        world.wait_ms(800);
        shows(world, "2101", "2201", "confirmed initiator");
        world.twin_of("2201", "twin");
        world.phone("twin").register(3600);
        world.wait_ms(200);
        world.phone("2002").call("2201");
        world.wait_ms(800);
        shows(world, "2101", "2201", "confirmed initiator, early recipient");
    });
}

#[test]
fn trm_05_with_whom_a_line_talks_is_shown_to_those_that_may_see_it() {
    told(|world| {
        watch(world, "2101", "2201");
        talk(world, "2001", "2201");
        world.wait_ms(500);
        let body = |world: &mut World| the_watch(world, "2101", "2201").bodies.last().cloned().unwrap();
        assert!(!body(world).contains("2001"), "{}", body(world));
        world.change(Kind::FeatureClass, "free", r#"{"sees":"parties"}"#);
        world.phone("2101").resubscribe("2201", 600);
        world.wait_ms(300);
        let shown = body(world);
        assert!(shown.contains(r#"<identity display="N 2001">sip:2001@pleiad.test</identity>"#), "{shown}");
        // What is shown names no dialog of the phones: a watcher could act in it.
        let phones = world.phone("2201").last_call_id();
        assert!(!shown.contains(&phones));
    });
}

#[test]
fn trm_05_beyond_a_cut_a_lamp_is_unknown_and_comes_back_by_itself() {
    told(|world| {
        watch(world, "2101", "2201");
        watch(world, "2101", "2102");
        watch(world, "2002", "2201");
        world.phone("2002").call("2201");
        world.wait_ms(800);
        world.cut(2);
        world.wait_ms(500);
        shows(world, "2101", "2201", "unknown");
        shows(world, "2002", "2201", "unknown");
        shows(world, "2101", "2102", "idle");
        world.phone("2002").cancel();
        world.wait_ms(500);
        world.heal(2);
        world.wait_ms(1_000);
        for watcher in ["2101", "2002"] {
            let shown = world.phone(watcher).lamp("2201");
            assert_ne!(shown, "unknown", "the lamp at {watcher} is back");
        }
    });
}

#[test]
fn trm_05_a_node_that_is_cut_off_shows_its_own_lines_and_knows_no_others() {
    told(|world| {
        watch(world, "2101", "2201");
        watch(world, "2101", "2102");
        world.cut(1);
        talk(world, "2101", "2102");
        world.wait_ms(500);
        shows(world, "2101", "2102", "confirmed recipient");
        shows(world, "2101", "2201", "unknown");
        // A lamp that is lit during the cut works after it.
        world.phone("2102").watch("2101");
        world.phone("2101").watch("2202");
        world.wait_ms(500);
        shows(world, "2101", "2202", "unknown");
        world.heal(1);
        world.wait_ms(500);
        shows(world, "2101", "2201", "idle");
        shows(world, "2101", "2202", "idle");
    });
}

#[test]
fn trm_05_a_phone_is_told_at_most_five_times_a_second_and_the_last_state_wins() {
    told(|world| {
        watch(world, "2101", "2102");
        let before = the_watch(world, "2101", "2102").bodies.len();
        for _ in 0..10 {
            world.phone("2001").call("2102");
            world.wait_ms(60);
            world.phone("2001").cancel();
            world.wait_ms(60);
        }
        world.wait_ms(500);
        let told = the_watch(world, "2101", "2102").bodies.len() - before;
        assert!((2..=9).contains(&told), "{told} in 1.7 s");
        shows(world, "2101", "2102", "idle");
        let cseqs = the_watch(world, "2101", "2102").cseqs.clone();
        assert!(cseqs.is_sorted() && cseqs.windows(2).all(|pair| pair[0] != pair[1]));
    });
}

#[test]
fn rfc6665_a_subscription_is_refreshed_ended_and_runs_out() {
    told(|world| {
        watch(world, "2101", "2201");
        let before = the_watch(world, "2101", "2201").bodies.len();
        world.phone("2101").resubscribe("2201", 120);
        world.wait_ms(300);
        let watch_ = the_watch(world, "2101", "2201");
        assert_eq!(watch_.bodies.len(), before + 1, "a refresh is told the state");
        assert_eq!(watch_.state, "active;expires=120");
        world.phone("2101").resubscribe("2201", 0);
        world.wait_ms(300);
        assert_eq!(the_watch(world, "2101", "2201").state, "terminated;reason=timeout");
        world.phone("2101").watch("2202");
        world.wait_ms(601_000);
        assert_eq!(the_watch(world, "2101", "2202").state, "terminated;reason=timeout");
        assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
        // Asked once, told once.
        world.phone("2101").subscribe("dialog", "2201", 0, None);
        world.wait_ms(300);
        let once = the_watch(world, "2101", "2201");
        assert_eq!((once.state.as_str(), once.bodies.len()), ("terminated;reason=timeout", 1));
    });
}

#[test]
fn rfc6665_what_cannot_be_watched_is_refused_with_what_would_do() {
    told(|world| {
        for (package, number, expires_s, accept, status) in [
            ("conference", "2201", 600, None, 489),
            ("dialog", "2201", 59, None, 423),
            ("dialog", "2201", 600, Some("application/pidf+xml"), 406),
            ("dialog", "3001", 600, None, 404),
            ("dialog", "112", 600, None, 404),
            ("message-summary", "2201", 600, None, 403),
            ("reg", "2201", 600, None, 403),
        ] {
            world.phone("2101").subscribe(package, number, expires_s, accept);
            world.wait_ms(300);
            assert_eq!(the_watch(world, "2101", number).status, status, "{package} {number}");
        }
        // Its class bars it from calling node 2, so it may not watch there either.
        world.phone("2102").watch("2201");
        world.wait_ms(300);
        assert_eq!(the_watch(world, "2102", "2201").status, 403);
        world.change(Kind::FeatureClass, "free", r#"{"sees":"nothing"}"#);
        world.phone("2101").watch("2201");
        world.wait_ms(300);
        assert_eq!(the_watch(world, "2101", "2201").status, 403);
        assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
    });
}

#[test]
fn rfc6665_nobody_watches_who_does_not_prove_itself() {
    told(|world| {
        world.phone("2101").secret = secret_of("2102");
        world.phone("2101").watch("2201");
        world.wait_ms(300);
        assert_eq!(the_watch(world, "2101", "2201").status, 403);
        assert!(the_watch(world, "2101", "2201").bodies.is_empty());
    });
}

#[test]
fn trm_05_a_right_that_is_taken_away_ends_a_lamp_before_it_shows_more() {
    told(|world| {
        watch(world, "2101", "2201");
        world.change(Kind::FeatureClass, "free", r#"{"sees":"nothing"}"#);
        world.phone("2002").call("2201");
        world.wait_ms(800);
        assert_eq!(the_watch(world, "2101", "2201").state, "terminated;reason=rejected");
        assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
    });
}

#[test]
fn rfc6665_a_phone_that_refuses_a_notify_is_told_no_more() {
    told(|world| {
        watch(world, "2101", "2201");
        the_watch(world, "2101", "2201").answers = 481;
        world.phone("2002").call("2201");
        world.wait_ms(800);
        let told = the_watch(world, "2101", "2201").bodies.len();
        world.phone("2201").answer();
        world.wait_ms(800);
        assert_eq!(the_watch(world, "2101", "2201").bodies.len(), told);
        assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
    });
}

#[test]
fn a_phone_that_is_gone_costs_one_notify_and_no_subscription() {
    told(|world| {
        watch(world, "2101", "2201");
        world.phone("2101").unplug();
        for _ in 0..3 {
            world.phone("2002").call("2201");
            world.wait_ms(1_000);
            world.phone("2002").cancel();
            world.wait_ms(1_000);
        }
        world.wait_ms(40_000);
        assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
    });
}

#[test]
fn a_phone_that_restarts_has_each_lamp_once() {
    told(|world| {
        watch(world, "2101", "2201");
        world.phone("2101").restart_watching();
        world.wait_ms(500);
        assert_eq!(world.members[&1].edge.subscriptions(), 1);
        talk(world, "2002", "2201");
        world.wait_ms(500);
        shows(world, "2101", "2201", "confirmed recipient");
    });
}

#[test]
fn a_phone_on_tcp_keeps_its_lamps_over_a_new_connection() {
    told_bare(|world| {
        for (number, transport) in
            [("2101", Transport::Tcp), ("2102", Transport::Udp), ("2001", Transport::Udp)]
        {
            world.plug_in(number, transport);
            world.phone(number).instance = Some(format!("<urn:uuid:{number}>"));
            world.phone(number).register(3600);
        }
        world.wait_ms(300);
        watch(world, "2101", "2102");
        let now = world.now;
        let old = world.phone("2101").reconnect(now);
        world.tell(1, Input::FlowClosed(old));
        world.phone("2001").call("2102");
        world.wait_ms(500);
        shows(world, "2101", "2102", "idle");
        world.phone("2101").register(3600);
        world.wait_ms(500);
        shows(world, "2101", "2102", "early recipient");
    });
}

#[test]
fn rfc3842_messages_that_wait_are_told_to_those_who_ask_and_those_who_do_not() {
    told(|world| {
        world.phone("2101").subscribe("message-summary", "2101", 600, None);
        world.wait_ms(300);
        let body = |world: &mut World| the_watch(world, "2101", "2101").bodies.last().cloned().unwrap();
        assert!(body(world).starts_with("Messages-Waiting: no\r\n"));
        let messages = |new, old| Messages { new, old, urgent: 0 };
        for number in ["2101", "2102"] {
            world.tell(1, Input::Messages(number.parse().unwrap(), messages(2, 5)));
        }
        world.wait_ms(300);
        assert!(body(world).contains("Messages-Waiting: yes\r\n") && body(world).contains("2/5"));
        // 2102 has not asked, and is told outside any subscription; 2101 is told once.
        assert_eq!(world.phone("2102").times("NOTIFY"), 1);
        let unasked = String::from_utf8(world.phone("2102").last_body.clone()).unwrap();
        assert!(unasked.contains("Voice-Message: 2/5 (0/0)"), "{unasked}");
        assert_eq!(world.phone("2101").times("NOTIFY"), 2);
        world.tell(1, Input::Messages("2101".parse().unwrap(), messages(0, 7)));
        world.wait_ms(300);
        assert!(body(world).starts_with("Messages-Waiting: no\r\n"));
    });
}

#[test]
fn rfc3863_presence_shows_the_line_too() {
    told(|world| {
        world.phone("2101").subscribe("presence", "2201", 600, None);
        world.wait_ms(300);
        let body = |world: &mut World| the_watch(world, "2101", "2201").bodies.last().cloned().unwrap();
        assert!(body(world).contains("<basic>open</basic>") && !body(world).contains("on-the-phone"));
        talk(world, "2002", "2201");
        world.wait_ms(500);
        assert!(body(world).contains("<rpid:on-the-phone/>"), "{}", body(world));
        world.phone("2201").hang_up();
        world.phone("2201").register(0);
        world.wait_ms(800);
        assert!(body(world).contains("<basic>closed</basic>"), "{}", body(world));
    });
}

#[test]
fn rfc3680_a_phone_sees_its_own_registrations() {
    told(|world| {
        world.phone("2101").subscribe("reg", "2101", 600, None);
        world.wait_ms(300);
        let contacts = |world: &mut World| {
            let body = the_watch(world, "2101", "2101").bodies.last().cloned().unwrap();
            body.matches("<contact ").count()
        };
        assert_eq!(contacts(world), 1);
        world.twin_of("2101", "twin");
        world.phone("twin").register(3600);
        world.wait_ms(500);
        assert_eq!(contacts(world), 2);
    });
}

#[test]
fn trm_05_lamps_go_on_after_their_member_was_killed_without_being_lit_anew() {
    for (watcher, watched) in PAIRS {
        told(|world| {
            watch(world, watcher, watched);
            let before = the_watch(world, watcher, watched).bodies.len();
            talk(world, "2202", watched);
            world.wait_ms(500);
            kill(world, watcher);
            world.wait_ms(3_000);
            let watch_ = the_watch(world, watcher, watched);
            assert!(watch_.bodies.len() > before + 1, "it is told everything");
            assert!(watch_.cseqs.is_sorted(), "{:?}", watch_.cseqs);
            shows(world, watcher, watched, "confirmed recipient");
            world.phone("2202").hang_up();
            world.wait_ms(800);
            shows(world, watcher, watched, "idle");
            world.phone(watcher).resubscribe(watched, 120);
            world.wait_ms(300);
            let watch_ = the_watch(world, watcher, watched);
            assert_eq!((watch_.status, watch_.state.as_str()), (200, "active;expires=120"));
            world.phone(watcher).resubscribe(watched, 0);
            world.wait_ms(300);
            kill(world, watcher);
            assert!(world.members.values().all(|member| member.edge.subscriptions() == 0));
        });
    }
}

#[test]
fn rfc3842_messages_that_wait_are_there_after_a_kill() {
    told(|world| {
        world.phone("2101").subscribe("message-summary", "2101", 600, None);
        world.wait_ms(300);
        let waiting = |new| Messages { new, old: 0, urgent: 0 };
        world.tell(1, Input::Messages("2101".parse().unwrap(), waiting(3)));
        world.wait_ms(300);
        kill(world, "2101");
        world.wait_ms(3_000);
        let body = |world: &mut World| the_watch(world, "2101", "2101").bodies.last().cloned().unwrap();
        assert!(body(world).contains("Voice-Message: 3/0"), "{}", body(world));
        world.tell(1, Input::Messages("2101".parse().unwrap(), waiting(0)));
        kill(world, "2101");
        world.wait_ms(3_000);
        assert!(body(world).starts_with("Messages-Waiting: no"), "{}", body(world));
    });
}

#[test]
fn nothing_is_left_when_nobody_watches_any_more() {
    let mut world = World::new(Make::PLAIN);
    for (watcher, watched) in PAIRS {
        watch(&mut world, watcher, watched);
    }
    assert_eq!(world.members[&1].edge.lamps().len(), 3);
    for (watcher, watched) in PAIRS {
        world.phone(watcher).resubscribe(watched, 0);
        world.wait_ms(300);
    }
    for member in world.members.values() {
        assert!(member.edge.lamps().is_empty());
        assert_eq!(member.edge.subscriptions(), 0);
    }
}

#[test]
fn rfc3903_nothing_is_published_by_phones() {
    told(|world| {
        world.phone("2101").publish_presence();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("PUBLISH 405"), "{:?}", world.phone("2101").heard);
    });
}
