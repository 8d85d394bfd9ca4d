//! From the tick thread to the network thread: the newest state, and every event.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tessera_protocol::snapshot::Snapshot;
use tessera_protocol::{ClientId, CommandAck, Declarations, Tick};
use tessera_python::Event;

/// Events that may wait for a network thread that is stuck; beyond, the oldest are lost and counted.
const EVENTS_WAITING_MAX: usize = 1 << 16;

/// What the network needs of one tick, or of several that it was too slow to take one by one.
#[derive(Debug)]
pub(crate) struct Publication {
    /// The newest state.
    pub(crate) snapshot: Arc<Snapshot>,
    /// What its columns are.
    pub(crate) declarations: Declarations,
    /// When its tick was due, nanoseconds of the monotonic clock.
    pub(crate) due_ns: u64,
    /// What became of each client's commands up to this state, by client.
    pub(crate) acks: Vec<(ClientId, CommandAck)>,
    /// Events of all ticks, in order, with the tick that made them.
    pub(crate) events: Vec<(Tick, Event)>,
    /// Clients whose slots are free from now on.
    pub(crate) left: Vec<ClientId>,
    /// Older states in here that were never taken.
    pub(crate) superseded: u64,
    /// Events that were lost since more than [`EVENTS_WAITING_MAX`] waited.
    pub(crate) events_lost: u64,
}

/// A place for one [`Publication`]. A state that was not taken yet is replaced by a newer one; what
/// must not be lost is carried over.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    place: Mutex<Place>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Place {
    waiting: Option<Publication>,
    closed: bool,
}

impl Handover {
    /// Puts a tick's publication there. Never waits for the network.
    pub(crate) fn put(&self, mut publication: Publication) {
        let mut place = self.place();
        if let Some(older) = place.waiting.take() {
            publication = supersede(older, publication);
        }
        place.waiting = Some(publication);
        drop(place);
        self.filled.notify_one();
    }

    /// Says that nothing comes after what is there.
    pub(crate) fn close(&self) {
        self.place().closed = true;
        self.filled.notify_one();
    }

    /// Waits for the next publication; `None` once it is closed and empty.
    pub(crate) fn take(&self) -> Option<Publication> {
        let mut place = self.place();
        loop {
            if let Some(publication) = place.waiting.take() {
                return Some(publication);
            }
            if place.closed {
                return None;
            }
            let woken = self.filled.wait(place);
            place = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn supersede(older: Publication, newer: Publication) -> Publication {
    let mut events = older.events;
    events.extend(newer.events);
    let lost = events.len().saturating_sub(EVENTS_WAITING_MAX);
    events.drain(..lost);
    let mut left = older.left;
    left.extend(newer.left);
    Publication {
        events,
        left,
        superseded: older.superseded + 1,
        events_lost: older.events_lost + lost as u64,
        ..newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(tick: u32, events: usize) -> Publication {
        let header = tessera_protocol::SnapshotHeader {
            tick: Tick(tick),
            ..Default::default()
        };
        let event = Event {
            sender: tessera_protocol::EntityId(1),
            seq: 0,
            to: None,
            name: "kill".into(),
            args: vec![],
        };
        Publication {
            declarations: Declarations::default(),
            snapshot: Arc::new(Snapshot::seal(header, &[], None)),
            due_ns: 0,
            acks: vec![],
            events: vec![(Tick(tick), event); events],
            left: vec![ClientId(tick as u16)],
            superseded: 0,
            events_lost: 0,
        }
    }

    #[test]
    fn the_newest_state_replaces_and_events_add_up() {
        let handover = Handover::default();
        for tick in 1..=3 {
            handover.put(publication(tick, 2));
        }
        let taken = handover.take().expect("something waits");
        assert_eq!((taken.snapshot.tick(), taken.superseded), (Tick(3), 2));
        let ticks: Vec<_> = taken.events.iter().map(|(tick, _)| tick.0).collect();
        assert_eq!(ticks, [1, 1, 2, 2, 3, 3]);
        assert_eq!(taken.left, [ClientId(1), ClientId(2), ClientId(3)]);
    }

    #[test]
    fn a_stuck_network_costs_the_oldest_events_only() {
        let handover = Handover::default();
        handover.put(publication(1, EVENTS_WAITING_MAX));
        handover.put(publication(2, 3));
        let taken = handover.take().expect("something waits");
        assert_eq!(
            (taken.events.len(), taken.events_lost),
            (EVENTS_WAITING_MAX, 3)
        );
        assert_eq!(taken.events.last().expect("events").0, Tick(2));
    }

    #[test]
    fn what_was_put_before_the_close_is_still_taken() {
        let handover = Handover::default();
        handover.put(publication(1, 0));
        handover.close();
        assert!(handover.take().is_some());
        assert!(handover.take().is_none());
    }
}
