//! One member of a cluster as a pure machine: the composition that the daemon runs on two threads and the
//! simulator in one.
//!
//! ```text
//!            phones, members                      connections of the link
//!                  |                                        |
//!             [ CallSide ]  -- CallNotice: bindings, log --> [ LinkSide ]
//!              edge + relay <-- LinkNotice: up, down, changes, live -- uplink or hub
//!                  |                                        |
//!          keep, then acknowledge                   keep, then `Applied`
//! ```
//!
//! There is no I/O here and no decision of its own: [`call`] decides on calls, [`cluster`] on the link, and this
//! says who hears of what. The two halves share nothing, so that heartbeats never wait for a call; what they
//! tell each other are values. [`Member`] runs both at once and passes those values on by itself.

mod calls;
mod exchange;
mod head;
mod lane;
mod lines;
mod link;

pub use calls::{CallSide, CallSideConfig, log_entry, log_id};
pub use exchange::{
    CallInput, CallNotice, CallOutput, LinkFault, LinkInput, LinkNotice, LinkOutput, PhoneSend,
};
pub use head::{Head, HeadSide};
pub use lane::{Lane, Said, ToHead};
pub use link::LinkSide;

use model::Change;
use std::collections::VecDeque;
use std::time::Duration;

/// Both halves of a member in one machine.
#[derive(Debug)]
pub struct Member {
    /// The half that carries calls.
    pub calls: CallSide,
    /// The half that keeps the link.
    pub link: LinkSide,
}

/// What happens to a member.
#[derive(Debug, Clone)]
pub enum Input {
    /// To its calls.
    Calls(CallInput),
    /// To its link.
    Link(LinkInput),
    /// Its own store made a commit; it is the owner of the common data.
    Committed {
        /// The revision.
        revision: u64,
        /// What changed.
        changes: Vec<Change>,
    },
    /// Time passed.
    Tick,
}

/// What a member wants done: what its halves say to the world, not what they say to each other.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "an output is moved once, and most are of calls")]
pub enum Output {
    /// By its calls.
    Calls(CallOutput),
    /// By its link.
    Link(LinkOutput),
}

impl Member {
    /// Joins two halves. `first` is what the call side said when it was made.
    #[must_use]
    pub fn new(
        now: Duration,
        calls: CallSide,
        link: LinkSide,
        first: Vec<CallOutput>,
        out: &mut Vec<Output>,
    ) -> Member {
        let mut member = Member { calls, link };
        let mut waiting = VecDeque::new();
        pass_on_calls(first, &mut waiting, out);
        member.run(now, waiting, out);
        member
    }

    /// Takes one input, and lets the halves talk until both have nothing more to say.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        let waiting = match input {
            Input::Calls(input) => VecDeque::from([Step::Calls(input)]),
            Input::Link(input) => VecDeque::from([Step::Link(input)]),
            Input::Committed { revision, changes } => VecDeque::from([
                Step::Calls(CallInput::Changes(changes.clone())),
                Step::Link(LinkInput::Committed { revision, changes }),
            ]),
            Input::Tick => VecDeque::from([Step::Link(LinkInput::Tick), Step::Calls(CallInput::Tick)]),
        };
        self.run(now, waiting, out);
    }

    /// The next instant at which `Tick` is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        [self.calls.next_timeout(), self.link.next_timeout()].into_iter().flatten().min()
    }

    fn run(&mut self, now: Duration, mut waiting: VecDeque<Step>, out: &mut Vec<Output>) {
        while let Some(step) = waiting.pop_front() {
            match step {
                Step::Calls(input) => {
                    let mut said = Vec::new();
                    self.calls.handle(now, input, &mut said);
                    pass_on_calls(said, &mut waiting, out);
                }
                Step::Link(input) => {
                    let mut said = Vec::new();
                    self.link.handle(now, input, &mut said);
                    pass_on_link(said, &mut waiting, out);
                }
            }
        }
    }
}

/// What a half has yet to hear.
enum Step {
    Calls(CallInput),
    Link(LinkInput),
}

fn pass_on_calls(said: Vec<CallOutput>, waiting: &mut VecDeque<Step>, out: &mut Vec<Output>) {
    for output in said {
        match output {
            CallOutput::ToLink(notice) => waiting.push_back(Step::Link(LinkInput::Calls(notice))),
            other => out.push(Output::Calls(other)),
        }
    }
}

fn pass_on_link(said: Vec<LinkOutput>, waiting: &mut VecDeque<Step>, out: &mut Vec<Output>) {
    for output in said {
        match output {
            LinkOutput::ToCalls(notice) => waiting.push_back(Step::Calls(CallInput::Link(notice))),
            other => out.push(Output::Link(other)),
        }
    }
}

#[cfg(test)]
mod tests;
