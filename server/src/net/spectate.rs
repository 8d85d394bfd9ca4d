//! Those who watch: the match as it was some seconds ago, through the eyes of one who plays.
//!
//! Late, so that nobody can watch for a friend who plays: what they see is of no use to him any more.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slotmap::SecondaryMap;
use tessera_protocol::session::ServerSession;
use tessera_protocol::{
    ClientId, ClientView, CommandAck, Declarations, FieldTable, SharedEvent, Snapshot, StateConfig,
    Tick, ValueRef, Watch,
};
use tessera_python::Event;

use super::coding::Coding;
use super::session::Player;
use super::{Network, PlayerKey};
use crate::handover::Publication;

/// States that are kept until they are shown. Where the delay is longer than so many ticks, those in
/// between are left out: spectators then see fewer a second.
const STATES_MAX: u32 = 256;

/// Events that are kept until they are told; beyond, the newest are lost and counted.
const EVENTS_MAX: usize = 1 << 14;

/// One state that is not old enough yet, and the events up to it.
struct Kept {
    snapshot: Arc<Snapshot>,
    declarations: Declarations,
    events: Vec<(Tick, Event)>,
}

/// Shows the match to those who watch. While nobody does, it keeps nothing.
pub(super) struct Gallery {
    coding: Coding,
    lives: Lives,
    delay_ticks: u32,
    kept: VecDeque<Kept>,
    /// Events in `kept`.
    events: usize,
    /// What each spectator has been told, as if it were whom it watches.
    eyes: SecondaryMap<PlayerKey, ClientView>,
}

impl Gallery {
    pub(super) fn new(
        declarations: &Declarations,
        state: StateConfig,
        delay: Duration,
        tick_hz: u32,
    ) -> Gallery {
        Gallery {
            coding: Coding::new(declarations, state, tick_hz),
            lives: Lives::of(&declarations.table),
            delay_ticks: delay.as_secs() as u32 * tick_hz,
            kept: VecDeque::new(),
            events: 0,
            eyes: SecondaryMap::new(),
        }
    }

    /// Takes the newest state, and shows the one that is old enough by now.
    pub(super) fn show(&mut self, network: &Network, publication: &Publication) {
        let spectators: Vec<(PlayerKey, Arc<Player>)> = {
            let spectators = network.spectators();
            spectators.iter().map(|(key, s)| (key, s.clone())).collect()
        };
        if spectators.is_empty() {
            self.kept.clear();
            self.events = 0;
            self.eyes.clear();
            return;
        }
        let lost = self.keep(publication);
        network.counters.events_lost.add(lost);
        let Some(shown) = self.due(publication.snapshot.tick()) else {
            return;
        };
        tell(&spectators, &shown.events);
        if self.coding.set_declarations(&shown.declarations) {
            self.lives = Lives::of(&shown.declarations.table);
        }
        self.coding.encoder.encode(&shown.snapshot);
        let living = self.lives.in_state(&shown.snapshot);
        self.eyes
            .retain(|key, _| spectators.iter().any(|(other, _)| *other == key));
        for (key, spectator) in &spectators {
            let before = self.eyes.get(*key).map(ClientView::client);
            let client = choose(spectator.watch(), before, &living);
            if before.is_none() {
                let view = ClientView::watching(client, network.rate_max);
                self.eyes.insert(*key, view);
            }
            let view = &mut self.eyes[*key];
            view.handle_ack(self.coding.prepare(spectator));
            view.see_through(client);
            let turn = shown.snapshot.tick().0;
            if !self.coding.is_taken(network, spectator, view, turn) {
                continue;
            }
            self.coding.encoder.look(view);
            self.coding
                .encoder
                .pack(view, CommandAck::default(), |datagram| {
                    spectator.send_state(network, Bytes::copy_from_slice(datagram));
                });
        }
    }

    /// Keeps a state, or only its events where there are states enough; gives how many events were
    /// lost.
    fn keep(&mut self, publication: &Publication) -> u64 {
        let stride = self.delay_ticks.div_ceil(STATES_MAX).max(1);
        let tick = publication.snapshot.tick();
        let room = EVENTS_MAX.saturating_sub(self.events);
        let events = publication.events.iter().take(room).cloned();
        let lost = publication.events.len().saturating_sub(room);
        self.events += publication.events.len() - lost;
        match self.kept.back_mut() {
            Some(last) if tick.wrapping_sub(last.snapshot.tick()) < stride.cast_signed() => {
                last.events.extend(events);
            }
            _ => self.kept.push_back(Kept {
                snapshot: publication.snapshot.clone(),
                declarations: publication.declarations.clone(),
                events: events.collect(),
            }),
        }
        lost as u64
    }

    /// Takes out the newest state that is old enough, with the events of all before it.
    fn due(&mut self, now: Tick) -> Option<Kept> {
        let mut due: Option<Kept> = None;
        while let Some(first) = self.kept.front()
            && now.wrapping_sub(first.snapshot.tick()) >= self.delay_ticks.cast_signed()
        {
            let next = self.kept.pop_front().expect("it was just looked at");
            self.events -= next.events.len();
            let mut events = due.map(|before| before.events).unwrap_or_default();
            events.extend(next.events);
            due = Some(Kept { events, ..next });
        }
        due
    }
}

/// Tells spectators what all players were told; what one player was told is not for them.
fn tell(spectators: &[(PlayerKey, Arc<Player>)], events: &[(Tick, Event)]) {
    for (tick, event) in events.iter().filter(|(_, event)| event.to.is_none()) {
        // One that is too long was counted when the players were to be told.
        let Ok(shared) = SharedEvent::new(*tick, &event.name, &event.args) else {
            continue;
        };
        for (_, spectator) in spectators {
            spectator.with(|session: &mut ServerSession| session.send_event(&shared));
            spectator.wake_writer();
        }
    }
}

/// Whose eyes to look through: whom the spectator wants, else the same as before, else the first who
/// lives. Where nobody lives, nothing changes.
fn choose(watch: Watch, before: Option<ClientId>, living: &BTreeSet<ClientId>) -> ClientId {
    let wanted = match watch {
        Watch::Client(client) => Some(client),
        Watch::Anyone => None,
    };
    let lives = |client: &ClientId| living.contains(client);
    let found = wanted.filter(lives).or(before.filter(lives));
    let found = found.or(living.first().copied()).or(before);
    found.or(wanted).unwrap_or_default()
}

/// What it means to live, by kind: to be owned by a client and, where shots hit the kind only under a
/// condition, to meet it.
#[derive(Debug)]
struct Lives(Vec<Life>);

#[derive(Clone, Copy, Debug)]
enum Life {
    Never,
    Always,
    /// While this field is true.
    While(usize),
}

impl Lives {
    fn of(table: &FieldTable) -> Lives {
        let life = |kind: &tessera_protocol::Kind| match (kind.projectile, kind.hitbox) {
            (Some(_), _) => Life::Never,
            (None, Some(hitbox)) => match hitbox.when {
                Some(field) => Life::While(field.into()),
                None => Life::Always,
            },
            (None, None) => Life::Always,
        };
        Lives(table.kinds.iter().map(life).collect())
    }

    /// The clients with a living player in a state.
    fn in_state(&self, snapshot: &Snapshot) -> BTreeSet<ClientId> {
        let mut living = BTreeSet::new();
        for batch in snapshot.batches() {
            let life = self.0.get(batch.kind().index()).copied();
            let life = life.unwrap_or(Life::Never);
            if matches!(life, Life::Never) {
                continue;
            }
            for row in batch.rows() {
                let Some(owner) = ClientId::from_owner(row.owner()) else {
                    continue;
                };
                let lives = match life {
                    Life::While(field) => row.field(field) == ValueRef::Bool(true),
                    Life::Always | Life::Never => true,
                };
                if lives {
                    living.insert(owner);
                }
            }
        }
        living
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::{EntityId, SnapshotHeader};

    fn publication(tick: u32, events: usize) -> Publication {
        let header = SnapshotHeader {
            tick: Tick(tick),
            ..Default::default()
        };
        let event = Event {
            sender: EntityId(1),
            seq: 0,
            to: None,
            name: "kill".into(),
            args: vec![],
        };
        Publication {
            declarations: Declarations::default(),
            due_ns: 0,
            snapshot: Arc::new(Snapshot::seal(header, &[], None)),
            acks: vec![],
            events: vec![(Tick(tick), event); events],
            left: vec![],
            superseded: 0,
            events_lost: 0,
        }
    }

    fn gallery(delay_s: u64) -> Gallery {
        let declarations = Declarations::default();
        let delay = Duration::from_secs(delay_s);
        Gallery::new(&declarations, StateConfig::default(), delay, 64)
    }

    #[test]
    fn each_state_is_shown_so_many_ticks_later_with_its_events() {
        let mut gallery = gallery(2);
        let start = u32::MAX - 50; // ticks wrap
        for n in 0..300_u32 {
            let now = Tick(start.wrapping_add(n));
            gallery.keep(&publication(now.0, 2));
            let shown = gallery.due(now);
            let expected = (n >= 128).then(|| now.offset(-128));
            assert_eq!(shown.as_ref().map(|kept| kept.snapshot.tick()), expected);
            if let Some(shown) = shown {
                assert_eq!(shown.events.len(), 2);
            }
        }
    }

    #[test]
    fn a_long_delay_keeps_fewer_states_and_every_event() {
        let mut gallery = gallery(30);
        let (mut shown, mut told) = (0, 0);
        for tick in 0..4000 {
            gallery.keep(&publication(tick, 1));
            assert!(gallery.kept.len() <= STATES_MAX as usize + 1);
            if let Some(kept) = gallery.due(Tick(tick)) {
                assert!(tick - kept.snapshot.tick().0 >= 30 * 64);
                shown += 1;
                told += kept.events.len();
            }
        }
        assert_eq!((shown, told), (260, 2080));
    }

    #[test]
    fn events_beyond_the_bound_are_counted_as_lost() {
        let mut gallery = gallery(2);
        assert_eq!(gallery.keep(&publication(1, EVENTS_MAX)), 0);
        assert_eq!(gallery.keep(&publication(2, 3)), 3);
        let shown = gallery.due(Tick(200)).expect("both are due");
        assert_eq!(shown.events.len(), EVENTS_MAX);
        assert_eq!(gallery.keep(&publication(201, 3)), 0);
    }

    #[test]
    fn one_looks_through_whom_one_wants_or_through_who_lives() {
        let living = BTreeSet::from([ClientId(2), ClientId(5)]);
        let nobody = BTreeSet::new();
        let client = |n| Watch::Client(ClientId(n));
        let before = Some(ClientId(5));
        for (watch, before, living, expected) in [
            (client(5), Some(ClientId(2)), &living, 5),
            (client(7), None, &living, 2),
            (client(7), before, &living, 5),
            (Watch::Anyone, None, &living, 2),
            (Watch::Anyone, before, &living, 5),
            (Watch::Anyone, Some(ClientId(9)), &living, 2),
            (Watch::Anyone, Some(ClientId(9)), &nobody, 9),
            (client(7), None, &nobody, 7),
            (Watch::Anyone, None, &nobody, 0),
        ] {
            assert_eq!(
                choose(watch, before, living),
                ClientId(expected),
                "{watch:?}"
            );
        }
    }
}
