//! A client's commands on the server, from arrival until their ticks.

use crate::command::Command;
use crate::ids::Tick;

/// How far ahead of the server's tick a command may be; also most commands in the queue.
const LEAD_TICKS_MAX: i32 = 32;
/// Ticks before the newest command of which it is remembered whether theirs arrived.
const MEMORY_TICKS: i32 = 64;

const _: () = assert!(LEAD_TICKS_MAX <= MEMORY_TICKS);

/// What became of a command that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// It waits for its tick.
    Queued,
    /// It was here before.
    Duplicate,
    /// Its tick has passed.
    Late,
    /// Its tick is too far away.
    Early,
}

/// Commands by tick.
///
/// # Invariants
/// At most one command a tick, ascending, each in `[next, next + LEAD_TICKS_MAX)`.
#[derive(Debug)]
pub(super) struct CommandQueue {
    /// The tick that will consume a command next.
    next: Tick,
    waiting: Vec<Command>,
    /// The newest tick of which a command arrived in time, if any did.
    newest: Option<Tick>,
    /// Bit n: whether the command n ticks before the newest one arrived.
    arrived: u64,
    /// The newest tick of a command since the last one was taken, even if late or early; of those
    /// before where none has arrived since.
    heard: Option<Tick>,
    /// Whether one has arrived since.
    heard_since_take: bool,
    /// See [`CommandQueue::slack`].
    slack: Option<i8>,
}

impl CommandQueue {
    /// A queue from which `next` is the first tick to consume a command.
    pub(super) fn new(next: Tick) -> Self {
        Self {
            next,
            waiting: Vec::new(),
            newest: None,
            arrived: 0,
            heard: None,
            heard_since_take: false,
            slack: None,
        }
    }

    /// Takes a command that arrived.
    pub(super) fn push(&mut self, command: Command) -> Arrival {
        let tick = command.tick;
        if !self.heard_since_take || self.heard.is_none_or(|heard| tick.is_newer_than(heard)) {
            self.heard = Some(tick);
            self.heard_since_take = true;
        }
        let ahead = tick.wrapping_sub(self.next);
        if ahead >= LEAD_TICKS_MAX {
            return Arrival::Early;
        }
        if self.has_arrived(tick) {
            return Arrival::Duplicate;
        }
        if ahead < 0 {
            return Arrival::Late;
        }
        self.note_arrival(tick);
        let at = self
            .waiting
            .partition_point(|other| tick.is_newer_than(other.tick));
        self.waiting.insert(at, command);
        Arrival::Queued
    }

    /// Consumes the command of a tick, if it is here; older ones are dropped.
    pub(super) fn take(&mut self, tick: Tick) -> Option<Command> {
        self.next = tick.next();
        self.heard_since_take = false;
        self.slack = self.heard.map(|heard| {
            heard
                .wrapping_sub(tick)
                .clamp(i8::MIN.into(), i8::MAX.into()) as i8
        });
        let passed = self
            .waiting
            .partition_point(|other| tick.is_newer_than(other.tick));
        self.waiting.drain(..passed);
        match self.waiting.first() {
            Some(command) if command.tick == tick => Some(self.waiting.remove(0)),
            _ => None,
        }
    }

    /// Ticks by which the newest command was ahead of the tick that consumed last; negative where
    /// it was late. `None` before the first command.
    pub(super) fn slack(&self) -> Option<i8> {
        self.slack
    }

    fn has_arrived(&self, tick: Tick) -> bool {
        let Some(newest) = self.newest else {
            return false;
        };
        let age = newest.wrapping_sub(tick);
        (0..MEMORY_TICKS).contains(&age) && self.arrived >> age & 1 == 1
    }

    fn note_arrival(&mut self, tick: Tick) {
        let ahead = self
            .newest
            .map_or(MEMORY_TICKS, |newest| tick.wrapping_sub(newest));
        if ahead > 0 {
            self.arrived = self.arrived.checked_shl(ahead.cast_unsigned()).unwrap_or(0) | 1;
            self.newest = Some(tick);
        } else {
            // Within memory, since it is not before `next` and the newest is not past the lead.
            self.arrived |= 1 << -ahead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn command(tick: u32) -> Command {
        Command {
            tick: Tick(tick),
            ..Command::default()
        }
    }

    #[test]
    fn each_arrival_has_a_name() {
        let mut queue = CommandQueue::new(Tick(u32::MAX));
        assert_eq!(queue.push(command(1)), Arrival::Queued);
        assert_eq!(queue.push(command(0)), Arrival::Queued);
        assert_eq!(queue.push(command(1)), Arrival::Duplicate);
        assert_eq!(queue.push(command(31)), Arrival::Early);
        assert_eq!(queue.push(command(u32::MAX - 1)), Arrival::Late);
        assert_eq!(queue.take(Tick(u32::MAX)), None);
        assert_eq!(queue.take(Tick(0)), Some(command(0)));
        assert_eq!(queue.push(command(0)), Arrival::Duplicate);
        assert_eq!(queue.push(command(u32::MAX)), Arrival::Late);
        assert_eq!(queue.take(Tick(1)), Some(command(1)));
    }

    #[test]
    fn slack_is_of_the_newest_that_arrived_lately() {
        let mut queue = CommandQueue::new(Tick(10));
        let slack = |queue: &mut CommandQueue, tick| {
            queue.take(Tick(tick));
            queue.slack()
        };
        assert_eq!(slack(&mut queue, 10), None);
        queue.push(command(9));
        assert_eq!(slack(&mut queue, 11), Some(-2));
        queue.push(command(14));
        queue.push(command(13));
        assert_eq!(slack(&mut queue, 12), Some(2));
        assert_eq!(slack(&mut queue, 13), Some(1));
        queue.push(command(1_000_000)); // garbage, or a clock gone wrong: no lasting harm
        assert_eq!(slack(&mut queue, 14), Some(127));
        queue.push(command(16));
        assert_eq!(slack(&mut queue, 15), Some(1));
    }

    proptest! {
        #[test]
        fn every_tick_gets_its_command_if_it_arrived_in_time(
            steps in prop::collection::vec((any::<bool>(), -5..40_i32), 0..200),
        ) {
            let start = Tick(u32::MAX - 20);
            let mut queue = CommandQueue::new(start);
            let (mut next, mut waiting) = (start, BTreeSet::new());
            for (take, offset) in steps {
                if take {
                    let expected = waiting.remove(&next.0).then(|| command(next.0));
                    prop_assert_eq!(queue.take(next), expected);
                    next = next.next();
                } else {
                    let arrival = queue.push(command(next.offset(offset).0));
                    let in_time = (0..LEAD_TICKS_MAX).contains(&offset);
                    let new = in_time && waiting.insert(next.offset(offset).0);
                    prop_assert_eq!(arrival == Arrival::Queued, new);
                }
            }
        }
    }
}
