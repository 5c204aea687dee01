//! Ways to break the system on purpose, to show that the invariants see it.
//!
//! Each breaks what a real shell, disk or network stack could break: the machines themselves run unchanged, what
//! they asked for is not done as they asked.

/// What is broken in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sabotage {
    /// A REGISTER is answered before the binding is on disk.
    BindingAcknowledgedEarly,
    /// The administrator is told "done" before the commit is on disk.
    CommitAcknowledgedEarly,
    /// A snapshot is kept without its last record.
    PartialSnapshot,
    /// A change is in force but never kept.
    ChangeNotKept,
    /// A node starts with a later position than that of its data.
    PositionAhead,
    /// The record of a call is not kept.
    RecordForgotten,
    /// The loss of the uplink ends the calls.
    DownHangsUp,
    /// A clean restart forgets the frozen calls.
    ThawForgetsCalls,
    /// A restarted process does not take its registrations back.
    BindingsForgotten,
    /// A process that follows one that was killed does not take the answered calls back.
    CallsForgotten,
    /// BYEs to other members are sent to nowhere.
    ByeDropped,
}

impl Sabotage {
    /// Every kind.
    pub const ALL: &'static [Sabotage] = &[
        Sabotage::BindingAcknowledgedEarly,
        Sabotage::CommitAcknowledgedEarly,
        Sabotage::PartialSnapshot,
        Sabotage::ChangeNotKept,
        Sabotage::PositionAhead,
        Sabotage::RecordForgotten,
        Sabotage::DownHangsUp,
        Sabotage::ThawForgetsCalls,
        Sabotage::BindingsForgotten,
        Sabotage::CallsForgotten,
        Sabotage::ByeDropped,
    ];
}
