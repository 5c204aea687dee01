//! The way into a thread that owns a machine: one queue, with room for so much that comes from outside.
//!
//! What comes from outside (messages, bytes) holds a permit until it is handled; without a permit a datagram is
//! lost and a stream waits, so a flood fills its own share only. What the process says to itself (notices,
//! commits, questions) needs none: its rate is that of what was let in.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Items handled in one turn before timers are looked at again.
pub const TURN_ITEMS_MAX: usize = 64;

/// An item and its permit.
struct Parcel<T> {
    item: T,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The giving end.
pub struct Inbox<T> {
    queue: Sender<Parcel<T>>,
    room: Arc<Semaphore>,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        Inbox { queue: self.queue.clone(), room: Arc::clone(&self.room) }
    }
}

/// The taking end.
pub struct Outlet<T> {
    queue: Receiver<Parcel<T>>,
}

/// A queue with room for `room` items from outside.
#[must_use]
pub fn open<T>(room: usize) -> (Inbox<T>, Outlet<T>) {
    let (sender, receiver) = channel();
    (Inbox { queue: sender, room: Arc::new(Semaphore::new(room)) }, Outlet { queue: receiver })
}

impl<T> Inbox<T> {
    /// An item of our own. When the thread has ended it is dropped, as everything is then.
    pub fn tell(&self, item: T) {
        let _ended = self.queue.send(Parcel { item, _permit: None });
    }

    /// An item from outside, if there is room; false when it was lost.
    #[must_use]
    pub fn try_give(&self, item: T) -> bool {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => self.queue.send(Parcel { item, _permit: Some(permit) }).is_ok(),
            Err(_) => false,
        }
    }

    /// An item from outside, waiting for room.
    pub async fn give(&self, item: T) {
        if let Ok(permit) = Arc::clone(&self.room).acquire_owned().await {
            let _ended = self.queue.send(Parcel { item, _permit: Some(permit) });
        }
    }
}

/// What a turn of the thread begins with.
pub enum Turn<T> {
    /// These came, in this order.
    Items(Vec<T>),
    /// Nothing came in the time.
    Time,
    /// Nobody can give anything any more.
    Closed,
}

impl<T> Outlet<T> {
    /// Waits for items, at most so long; for ever with `None`.
    #[must_use]
    pub fn wait(&self, patience: Option<Duration>) -> Turn<T> {
        let first = match patience {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(patience) => self.queue.recv_timeout(patience),
        };
        match first {
            Err(RecvTimeoutError::Timeout) => Turn::Time,
            Err(RecvTimeoutError::Disconnected) => Turn::Closed,
            Ok(first) => {
                let more = self.queue.try_iter().take(TURN_ITEMS_MAX - 1);
                Turn::Items(std::iter::once(first).chain(more).map(|parcel| parcel.item).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_outside_is_lost_and_our_own_words_still_get_through() {
        let (inbox, outlet) = open(2);
        assert!(inbox.try_give(1) && inbox.try_give(2) && !inbox.try_give(3));
        inbox.tell(4);
        let Turn::Items(items) = outlet.wait(Some(Duration::ZERO)) else { panic!("nothing came") };
        assert_eq!(items, [1, 2, 4]);
        assert!(inbox.try_give(5));
        drop(outlet);
        inbox.tell(6);
    }
}
