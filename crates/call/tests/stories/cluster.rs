//! Cuts and returns, and a cluster server that is killed: what happens to calls, and what is owed.

use crate::inside::talk;
use crate::world::{World, told};
use model::Cause;

/// One side hangs up, the other hears it, and the call has its records.
fn ends_well(world: &mut World, one: &str, other: &str) {
    world.phone(one).hang_up();
    world.wait_ms(400);
    assert!(world.phone(other).heard("BYE/16"), "{:?}", world.phone(other).heard);
    world.one_record(Cause::NormalClearing);
    world.all_idle();
}

#[test]
fn duh_01_duh_02_a_call_inside_a_node_does_not_notice_a_cut() {
    told(|world| {
        talk(world, "2101", "2102");
        world.cut(1);
        world.phone("2102").hold();
        world.wait_ms(200);
        world.phone("2102").resume();
        world.wait_ms(200);
        assert_eq!(world.phone("2102").times("200"), 2);
        world.wait_ms(60_000);
        world.heal(1);
        ends_well(world, "2101", "2102");
    });
}

#[test]
fn duh_30_isolated_phones_call_each_other_with_the_same_numbers_and_rights() {
    told(|world| {
        world.cut(1);
        talk(world, "2102", "2101");
        ends_well(world, "2102", "2101");
        world.records.clear();
        world.phone("2102").heard.clear();
        world.phone("2102").call("2201");
        world.wait_ms(100);
        assert!(world.phone("2102").heard("403/21"), "barred as ever");
    });
}

#[test]
fn duh_30_a_number_beyond_the_cut_is_refused_at_once_and_says_so() {
    told(|world| {
        world.cut(1);
        world.phone("2101").call("2201");
        world.wait_ms(100);
        assert!(world.phone("2101").heard("503/38"));
        world.one_record(Cause::UnreachableByCut);
        world.all_idle();
    });
}

#[test]
fn the_cluster_server_and_the_other_node_hear_of_the_cut_too() {
    for caller in ["2001", "2201"] {
        told(|world| {
            world.cut(1);
            world.phone(caller).call("2101");
            world.wait_ms(300);
            assert!(world.phone(caller).heard("503/38"), "{:?}", world.phone(caller).heard);
            world.one_record(Cause::UnreachableByCut);
            world.all_idle();
        });
    }
}

#[test]
fn an_emergency_call_passes_a_cut() {
    told(|world| {
        world.cut(1);
        world.phone("2102").call("112");
        world.wait_ms(200);
        world.phone("2101").answer();
        world.wait_ms(200);
        assert!(world.phone("2102").heard("200"));
        ends_well(world, "2102", "2101");
    });
}

#[test]
fn a_call_that_meets_an_unnoticed_cut_is_refused_when_it_is_noticed() {
    told(|world| {
        world.cut_unnoticed(1);
        world.phone("2101").call("2201");
        world.wait_ms(1_000);
        assert_eq!(world.phone("2101").heard, Vec::<String>::new());
        world.cut(1);
        world.wait_ms(100);
        assert!(world.phone("2101").heard("503/38"));
        world.one_record(Cause::UnreachableByCut);
        world.heal(1);
        world.wait_ms(60_000);
        assert_eq!(
            world.phone("2201").heard,
            Vec::<String>::new(),
            "it does not ring for nobody after the return"
        );
        world.all_idle();
    });
}

#[test]
fn an_invite_that_arrived_and_whose_answers_were_cut_off_is_cancelled_at_the_return() {
    told(|world| {
        world.phone("2101").call("2201");
        // The INVITE is on the last stretch; nothing will come back.
        world.wait_ms(22);
        world.cut_unnoticed(1);
        world.cut(1);
        world.wait_ms(100);
        assert!(world.phone("2101").heard("503/38"), "{:?}", world.phone("2101").heard);
        assert!(world.phone("2201").heard("INVITE") && !world.phone("2201").heard("CANCEL"));
        world.heal(1);
        world.wait_ms(5_000);
        assert!(world.phone("2201").heard("CANCEL"), "{:?}", world.phone("2201").heard);
        world.all_idle();
    });
}

#[test]
fn what_rings_across_a_cut_rings_on_and_is_answered_after_the_return() {
    for answered_while_cut in [true, false] {
        told(|world| {
            world.phone("2101").call("2201");
            world.wait_ms(300);
            assert!(world.phone("2101").heard("180"));
            world.cut(2);
            world.wait_ms(2_000);
            if answered_while_cut {
                world.phone("2201").answer();
                world.wait_ms(5_000);
                assert!(!world.phone("2101").heard("200"));
            }
            world.heal(2);
            if !answered_while_cut {
                world.phone("2201").answer();
            }
            world.wait_ms(5_000);
            assert!(world.phone("2101").heard("200"), "{:?}", world.phone("2101").heard);
            assert!(world.phone("2201").heard("ACK"));
            ends_well(world, "2201", "2101");
        });
    }
}

#[test]
fn a_call_across_a_cut_stays_and_holds_again_after_the_return() {
    for cut in [1, 2] {
        told(|world| {
            talk(world, "2101", "2201");
            world.cut(cut);
            world.wait_ms(120_000);
            let inside = if cut == 1 { "2101" } else { "2201" };
            world.phone(inside).hold();
            world.wait_ms(300);
            assert!(world.phone(inside).heard("500"), "not 408 and not 481: {:?}", world.phone(inside).heard);
            world.heal(cut);
            world.phone(inside).hold();
            world.wait_ms(300);
            assert!(world.phone(inside).heard("200"), "{:?}", world.phone(inside).heard);
            ends_well(world, "2101", "2201");
        });
    }
}

#[test]
fn a_hang_up_during_the_cut_is_answered_at_once_and_owed_to_the_other_end() {
    for (cut, one, other) in
        [(1, "2101", "2201"), (2, "2101", "2201"), (1, "2201", "2101"), (2, "2201", "2101")]
    {
        told(|world| {
            talk(world, "2101", "2201");
            world.cut(cut);
            world.wait_ms(1_000);
            world.phone(one).hang_up();
            world.wait_ms(60_000);
            assert!(!world.phone(other).heard("BYE/16"), "it cannot know yet");
            world.heal(cut);
            world.wait_ms(6_000);
            assert!(world.phone(other).heard("BYE/16"), "{:?}", world.phone(other).heard);
            world.two_records(Cause::NormalClearing);
            world.wait_ms(40_000);
            world.all_idle();
        });
    }
}

#[test]
fn both_ends_hang_up_during_the_cut() {
    told(|world| {
        talk(world, "2101", "2201");
        world.cut(1);
        world.phone("2101").hang_up();
        world.phone("2201").hang_up();
        world.wait_ms(10_000);
        world.two_records(Cause::NormalClearing);
        world.heal(1);
        world.wait_ms(40_000);
        world.all_idle();
    });
}

#[test]
fn a_hang_up_in_an_unnoticed_cut_arrives_too() {
    told(|world| {
        talk(world, "2101", "2201");
        world.cut_unnoticed(1);
        world.phone("2101").hang_up();
        world.wait_ms(100);
        world.cut(1);
        world.wait_ms(50_000);
        world.heal(1);
        world.wait_ms(6_000);
        assert!(world.phone("2201").heard("BYE/16"), "{:?}", world.phone("2201").heard);
        world.two_records(Cause::NormalClearing);
        world.wait_ms(40_000);
        world.all_idle();
    });
}

#[test]
fn the_caller_gives_up_during_the_cut_and_the_phone_stops_ringing_at_the_return() {
    told(|world| {
        world.phone("2101").call("2201");
        world.wait_ms(300);
        world.cut(1);
        world.phone("2101").cancel();
        world.wait_ms(1_000);
        assert!(world.phone("2101").heard("487/16"));
        assert!(!world.phone("2201").heard("CANCEL"));
        world.heal(1);
        world.wait_ms(5_000);
        assert!(world.phone("2201").heard("CANCEL"));
        world.two_records(Cause::Cancelled);
        world.all_idle();
    });
}

#[test]
fn duh_04_after_each_of_ten_cuts_in_a_row_calls_across_work() {
    told(|world| {
        for _ in 0..10 {
            world.cut(1);
            world.wait_ms(3_000);
            world.heal(1);
            talk(world, "2101", "2201");
            ends_well(world, "2101", "2201");
            world.records.clear();
        }
    });
}

#[test]
fn the_cluster_server_is_killed_while_it_rings_and_the_call_is_answered_and_held() {
    for answered_while_dead in [true, false] {
        told(|world| {
            world.phone("2101").call("2201");
            world.wait_ms(300);
            world.kill_cluster_server();
            world.wait_ms(3_000);
            if answered_while_dead {
                world.phone("2201").answer();
                world.wait_ms(3_000);
            }
            world.start_cluster_server();
            if !answered_while_dead {
                world.phone("2201").answer();
            }
            world.wait_ms(6_000);
            assert!(world.phone("2101").heard("200"));
            world.phone("2101").hold();
            world.wait_ms(300);
            assert_eq!(world.phone("2101").times("200"), 2);
            ends_well(world, "2101", "2201");
        });
    }
}

#[test]
fn the_cluster_server_is_killed_while_they_talk_and_a_hang_up_frees_both_ends() {
    for hung_up_while_dead in [true, false] {
        told(|world| {
            talk(world, "2101", "2201");
            world.kill_cluster_server();
            world.wait_ms(3_000);
            if hung_up_while_dead {
                world.phone("2201").hang_up();
                world.wait_ms(1_000);
            }
            world.start_cluster_server();
            if !hung_up_while_dead {
                world.phone("2201").hang_up();
            }
            world.wait_ms(6_000);
            assert!(world.phone("2101").heard("BYE/16"));
            world.two_records(Cause::NormalClearing);
            world.all_idle();
        });
    }
}

#[test]
fn a_cluster_server_that_has_just_started_does_not_call_a_silent_node_absent() {
    told(|world| {
        world.kill_cluster_server();
        world.cut_unnoticed(2);
        world.start_cluster_server();
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("503/38"), "{:?}", world.phone("2101").heard);
    });
}

#[test]
fn a_node_that_lost_its_calls_and_its_disk_frees_the_other_end_within_90_s() {
    told(|world| {
        talk(world, "2101", "2201");
        world.lose_calls(2);
        world.restart_node(2);
        world.wait_ms(90_000);
        assert!(world.phone("2101").heard("BYE/27"), "{:?}", world.phone("2101").heard);
        world.one_record(Cause::LostPhone);
    });
}

#[test]
fn a_killed_node_keeps_its_answered_calls_which_hold_resume_and_end_as_ever() {
    for (caller, called, killed) in [("2101", "2201", 2), ("2101", "2201", 1), ("2101", "2102", 1)] {
        told(|world| {
            talk(world, caller, called);
            world.restart_node(killed);
            assert_eq!(world.members[&killed].edge.calls().len(), 1);
            for (one, other) in [(caller, called), (called, caller)] {
                world.phone(one).hold();
                world.wait_ms(300);
                assert!(world.phone(other).sdp.contains(&format!("hold of {one}")));
                assert!(world.phone(one).heard("200"), "{:?}", world.phone(one).heard);
                // Killed again, with what was agreed meanwhile.
                world.restart_node(killed);
                world.phone(one).resume();
                world.wait_ms(300);
                assert!(world.phone(other).sdp.contains(&format!("resume of {one}")));
            }
            // Its liveness questions carry numbers that the phones have not seen yet.
            world.wait_ms(90_000);
            world.phone(called).hang_up();
            world.wait_ms(300);
            assert!(world.phone(caller).heard("BYE/16"), "{:?}", world.phone(caller).heard);
            let record = world.one_record(Cause::NormalClearing);
            assert_eq!((record.caller.number.as_str(), record.called.number.as_str()), (caller, called));
            assert!(record.answered.is_some());
            world.all_idle();
        });
    }
}

#[test]
fn a_node_killed_before_the_callers_ack_acknowledges_the_answer_itself() {
    told(|world| {
        world.phone("2101").keeps_ack = true;
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone("2102").answer();
        world.wait_ms(100);
        world.restart_node(1);
        world.wait_ms(3_000);
        assert!(world.phone("2102").heard("ACK"), "{:?}", world.phone("2102").heard);
        world.phone("2102").hang_up();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("BYE/16"));
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn the_same_session_names_the_call_at_both_edges() {
    told(|world| {
        talk(world, "2101", "2201");
        let sessions: Vec<String> =
            [1, 2].iter().map(|member| world.members[member].edge.calls()[0].session.clone()).collect();
        assert_eq!(sessions[0], sessions[1]);
        ends_well(world, "2101", "2201");
        let (call, leg) = world.two_records(Cause::NormalClearing);
        // The ladder joins the traces by the Call-ID that both edges know.
        assert!(call.call_ids.iter().any(|id| leg.call_ids.contains(id)));
        assert!(call.created <= call.ringing.unwrap() && call.ringing <= call.answered);
        assert!(call.answered.unwrap() <= call.ended);
    });
}
