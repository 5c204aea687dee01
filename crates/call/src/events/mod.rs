//! Event notification, the notifier's side (RFC 6665): lamps for lines and messages (TRM-05).
//!
//! It is not a subscriber: we send no SUBSCRIBE, and none crosses the uplink. A subscription lives in the shard of the
//! owner of the *watched* subscriber, beside what it is told of: the [`Board`] of lines. Lines of other members come
//! there as live state over the cluster's link, and go there the same way.
//!
//! ```text
//!   session --(a call's line changed)--> Board of its owner --(at most every 0.1 s)--> Output::Lines --> other members
//!                                           |       ^------------------- Input::Lamps <------------------------'
//!                                           v
//!                                       Notifier --(at most every 0.2 s a subscription, the last state wins)--> NOTIFY
//! ```
//!
//! | what | where |
//! |---|---|
//! | what a line is, and how it looks | `line` |
//! | lines of this shard's subscribers, lamps of others, waiting messages | `board` |
//! | one subscription | `subscription` |
//! | the same on disk | `kept` |
//! | all of them: who watches what, whose turn it is | `notifier` |
//! | packages, their names, Subscription-State | `package` |
//! | documents | `dialog_info`, `presence`, `summary`, `reg`, on `xml` |
//!
//! The one thing a reader must know: nothing is queued for a phone. A subscription remembers what it showed last, and
//! shows what is so when it may send again; a phone that does not answer costs one outstanding NOTIFY.

mod board;
mod dialog_info;
mod kept;
mod line;
mod notifier;
mod package;
mod presence;
mod reg;
mod scene;
mod subscription;
mod summary;
mod xml;

pub(crate) use board::{Board, LinesTold};
pub(crate) use kept::Restored;
pub use kept::SubscriptionChange;
pub use line::{Direction, Lamp, Line, LineCall, Look, Phase};
pub(crate) use notifier::{Notifier, Refused, Wish};
pub(crate) use package::{Event, Package};
use scene::{Scene, Shown};
pub(crate) use subscription::{Notified, SubscriptionId};
pub use summary::Messages;
pub(crate) use summary::tell_unasked;
