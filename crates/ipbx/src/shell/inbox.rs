//! The way into a thread that owns a machine: one queue, with room for so much that comes from outside.
//!
//! What comes from outside (messages, bytes) holds a permit until it is handled; without a permit a datagram is
//! lost and a stream waits, and each kind has permits of its own: streams that flood fill their share, and no datagram is lost for them. What the process says to itself (notices,
//! commits, questions) needs none: its rate is that of what was let in.
//!
//! A thread that waits for sockets too cannot wait on the queue: it waits for the queue's [`Bell`] among its
//! descriptors. Nobody rings while it is awake, so a busy thread costs its tellers no system call.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Wakes a thread that sleeps among its descriptors.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
    asleep: AtomicBool,
}

impl Bell {
    fn new() -> io::Result<Bell> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Bell { event, asleep: AtomicBool::new(false) })
    }

    /// Something was put into the queue.
    fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(fault) = self.event.write(1)
        {
            tracing::error!(%fault, "a sleeping thread could not be woken");
        }
    }

    /// The thread goes to sleep: from now on it must be rung for. It must look into the queue once more.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The thread is awake; `rung` when it was this bell.
    pub fn wake_up(&self, rung: bool) {
        let rung_since = !self.asleep.swap(false, Ordering::SeqCst);
        if rung || rung_since {
            // When it is rung a moment later, the next sleep ends for nothing.
            let _quiet = self.event.read();
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// The giving end.
pub struct Inbox<T> {
    queue: Sender<Parcel<T>>,
    /// For those who wait.
    room: Arc<Semaphore>,
    /// For what is lost without room.
    passing: Arc<Semaphore>,
    bell: Option<Arc<Bell>>,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        let (room, passing) = (Arc::clone(&self.room), Arc::clone(&self.passing));
        Inbox { queue: self.queue.clone(), room, passing, bell: self.bell.clone() }
    }
}

/// The taking end.
pub struct Outlet<T> {
    queue: Receiver<Parcel<T>>,
}

/// A queue with room for `room` items from outside, of those who wait and of what is lost each.
#[must_use]
pub fn open<T>(room: usize) -> (Inbox<T>, Outlet<T>) {
    let (sender, receiver) = channel();
    let permits = || Arc::new(Semaphore::new(room));
    let inbox = Inbox { queue: sender, room: permits(), passing: permits(), bell: None };
    (inbox, Outlet { queue: receiver })
}

/// The same for a thread that sleeps on a [`Bell`], with room for `waiting` items of those who wait.
///
/// # Errors
/// When the system has no descriptor left.
pub fn open_with_bell<T>(room: usize, waiting: usize) -> io::Result<(Inbox<T>, Outlet<T>, Arc<Bell>)> {
    let (mut inbox, outlet) = open(room);
    inbox.room = Arc::new(Semaphore::new(waiting));
    let bell = Arc::new(Bell::new()?);
    inbox.bell = Some(Arc::clone(&bell));
    Ok((inbox, outlet, bell))
}

impl<T> Inbox<T> {
    /// An item of our own. When the thread has ended it is dropped, as everything is then.
    pub fn tell(&self, item: T) {
        let _ended = self.put(item, None);
    }

    /// An item from outside, if there is room; false when it was lost.
    #[must_use]
    pub fn try_give(&self, item: T) -> bool {
        match Arc::clone(&self.passing).try_acquire_owned() {
            Ok(permit) => self.put(item, Some(permit)),
            Err(_) => false,
        }
    }

    /// An item from outside, waiting for room.
    pub async fn give(&self, item: T) {
        if let Ok(permit) = Arc::clone(&self.room).acquire_owned().await {
            let _ended = self.put(item, Some(permit));
        }
    }

    fn put(&self, item: T, permit: Option<OwnedSemaphorePermit>) -> bool {
        let put = self.queue.send(Parcel { item, _permit: permit }).is_ok();
        if let Some(bell) = &self.bell {
            bell.ring();
        }
        put
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
    /// The next item, if one is there.
    #[must_use]
    pub fn next(&self) -> Option<T> {
        self.queue.try_recv().ok().map(|parcel| parcel.item)
    }

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

    #[tokio::test]
    async fn threat_12_streams_that_fill_their_room_leave_that_of_datagrams() {
        let (inbox, outlet, _bell) = open_with_bell(2, 1).unwrap();
        inbox.give("a stream").await;
        let flooding = {
            let inbox = inbox.clone();
            tokio::spawn(async move { inbox.give("and another").await })
        };
        tokio::task::yield_now().await;
        assert!(!flooding.is_finished(), "it waits");
        assert!(inbox.try_give("a datagram") && inbox.try_give("a datagram"));
        assert_eq!(outlet.next(), Some("a stream"));
        flooding.await.unwrap();
    }

    #[test]
    fn a_bell_rings_once_for_whoever_sleeps_and_never_for_whoever_is_awake() {
        let (inbox, outlet, bell) = open_with_bell(2, 2).unwrap();
        inbox.tell(1);
        assert!(bell.event.read().is_err(), "nobody slept");
        bell.fall_asleep();
        inbox.tell(2);
        inbox.tell(3);
        assert_eq!(bell.event.read(), Ok(1));
        bell.wake_up(true);
        assert_eq!(std::iter::from_fn(|| outlet.next()).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
