//! A call between any two of the six phones, answered and hung up from either end.

use crate::world::told;
use model::Cause;

const NUMBERS: [&str; 6] = ["2001", "2002", "2101", "2102", "2201", "2202"];

#[test]
fn a_call_between_any_two_phones_rings_is_answered_and_hung_up_by_the_caller() {
    for caller in NUMBERS {
        for called in NUMBERS.into_iter().filter(|called| *called != caller) {
            // 2102 may not call node 2; that is another story.
            if caller == "2102" && called.starts_with("22") {
                continue;
            }
            told(|world| {
                world.phone(caller).call(called);
                world.wait_ms(200);
                assert!(world.phone(caller).heard("180"), "{caller} hears {called} ring");
                assert_eq!(world.phone(called).sdp, [format!("offer of {caller}")]);
                world.phone(called).answer();
                world.wait_ms(200);
                assert!(world.phone(caller).heard("200"));
                assert_eq!(world.phone(caller).sdp, [format!("answer of {called}")]);
                assert!(world.phone(called).heard("ACK"));
                world.phone(caller).hang_up();
                world.wait_ms(200);
                assert!(world.phone(called).heard("BYE/16"), "{:?}", world.phone(called).heard);
                let record = world.one_record(Cause::NormalClearing);
                assert_eq!((record.caller.number.as_str(), record.called.number.as_str()), (caller, called));
                world.all_idle();
            });
        }
    }
}
