//! Structured clone beside `marshal`, the fastest serializer of Python's library, in one run:
//! `cargo bench -p tessera-python --bench clone`.
//!
//! Both are called as C functions, without the cost of a call from Python.
//!
//! - *between zones* is what a message costs that one interpreter sends another, from the script's value
//!   in the one to the arguments that a hook is called with in the other, and their release after it.
//!   On its way it is in the lists of the outbox, of a channel's batch and of the inbox, and the batch in
//!   a channel's ring. Ticks of 64 messages; the thread's change from one interpreter to the other isn't
//!   counted.
//! - The others are round trips within one interpreter: from an object to bytes to another object and
//!   the release of that.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rtrb::RingBuffer;
use tessera_protocol::ids::EntityId;
use tessera_python::Message;
use tessera_python::testing::{Arguments, Interpreter, Sample, unmarshal};

const DICT_OF_10: &str = "{'id': 17, 'x': 1.5, 'y': -2.25, 'z': 3.5, 'name': 'player17', 'hp': 100, \
                          'alive': True, 'target': None, 'tags': ('red', 'fast'), 'inv': [1, 2, 300]}";

/// What scripts send: an event, a record, and lists of them.
const SAMPLES: [(&str, &str); 4] = [
    ("tuple of 4", "(17, 'hit', 12.5, 42)"),
    ("dict of 10", DICT_OF_10),
    (
        "100 dicts of 10",
        "[{'id': n, 'x': 1.5, 'y': -2.25, 'z': 3.5, 'name': 'player17', 'hp': 100, 'alive': True, \
         'target': None, 'tags': ('red', 'fast'), 'inv': [1, 2, 300]} for n in range(100)]",
    ),
    ("1000 floats", "[n + 0.5 for n in range(1000)]"),
];

/// Messages of a tick.
const MESSAGES: u32 = 64;

/// A zone's two lists and the channel between them, as `sim` has them.
struct Lane<T> {
    outbox: Vec<T>,
    inbox: Vec<T>,
    full: (rtrb::Producer<Vec<T>>, rtrb::Consumer<Vec<T>>),
    empty: (rtrb::Producer<Vec<T>>, rtrb::Consumer<Vec<T>>),
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self {
            outbox: Vec::new(),
            inbox: Vec::new(),
            full: RingBuffer::new(4),
            empty: RingBuffer::new(4),
        }
    }

    /// The sender's side of a tick.
    fn send(&mut self, mut make: impl FnMut(u32) -> T) {
        self.outbox.extend((0..MESSAGES).map(&mut make));
        let mut batch = self.empty.1.pop().unwrap_or_default();
        for message in self.outbox.drain(..) {
            batch.push(message);
        }
        assert!(self.full.0.push(batch).is_ok(), "there is room");
    }

    /// The receiver's side of the next one.
    fn receive(&mut self, mut hear: impl FnMut(T)) {
        let mut batch = self.full.1.pop().expect("a batch was sent");
        self.inbox.append(&mut batch);
        assert!(self.empty.0.push(batch).is_ok(), "there is room");
        self.inbox.drain(..).for_each(&mut hear);
    }
}

/// Times `count` messages from `sender` to `receiver`, without the changes between the two.
fn messages<T>(
    count: u64,
    sender: &mut Sample<'_>,
    receiver: &mut Interpreter,
    make: fn(&mut Sample<'_>, u32) -> T,
    mut hear: impl FnMut(&mut Interpreter, T),
) -> Duration {
    let mut lane = Lane::new();
    let mut spent = Duration::ZERO;
    let ticks = count.div_ceil(MESSAGES.into());
    for _ in 0..ticks {
        sender.attach();
        let start = Instant::now();
        lane.send(|seq| make(sender, seq));
        spent += start.elapsed();
        receiver.attach();
        let start = Instant::now();
        lane.receive(|message| hear(receiver, message));
        spent += start.elapsed();
    }
    spent.mul_f64(count as f64 / (ticks * u64::from(MESSAGES)) as f64)
}

fn message(sender: &mut Sample<'_>, seq: u32) -> Message {
    Message {
        target: EntityId(1),
        sender: EntityId(2),
        seq,
        payload: sender.payload(),
    }
}

fn between_zones(criterion: &mut Criterion) {
    let mut receiver = Interpreter::start();
    let mut sender = Interpreter::start();
    let mut sample = Sample::new(&mut sender, DICT_OF_10);
    let mut arguments = Arguments::default();
    let mut group = criterion.benchmark_group("dict of 10 between zones");
    group.bench_function("clone + send + receive", |bencher| {
        bencher.iter_custom(|count| {
            messages(count, &mut sample, &mut receiver, message, |to, message| {
                to.hear(&message, &mut arguments);
            })
        });
    });
    group.bench_function("marshal + send + receive", |bencher| {
        bencher.iter_custom(|count| {
            let marshal = |sender: &mut Sample<'_>, _| sender.marshal();
            messages(count, &mut sample, &mut receiver, marshal, |_, bytes| {
                unmarshal(&bytes);
            })
        });
    });
    group.finish();
}

fn round_trips(criterion: &mut Criterion) {
    let mut interpreter = Interpreter::start();
    for (name, code) in SAMPLES {
        let mut sample = Sample::new(&mut interpreter, code);
        let mut group = criterion.benchmark_group(name);
        group.bench_function("clone", |bencher| {
            bencher.iter(|| sample.clone_round_trip())
        });
        group.bench_function("marshal", |bencher| {
            bencher.iter(|| sample.marshal_round_trip())
        });
        group.finish();
    }
}

criterion_group!(benches, between_zones, round_trips);
criterion_main!(benches);
