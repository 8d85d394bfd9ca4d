//! Structured clone beside `marshal`, the fastest serializer of Python's library, in one run:
//! `cargo bench -p tessera-python --bench clone`.
//!
//! Both are called as C functions, without the cost of a call from Python.
//!
//! - *between zones* is what a message costs that one interpreter sends another, from the script's value
//!   in the one to the arguments that a hook is to be called with in the other. On its way it is in the
//!   lists of the outbox, of a channel's batch and of the inbox, and the batch in a channel's ring. Ticks
//!   of 64 messages. Not counted are the thread's change from one interpreter to the other and, but for
//!   the figure that says so, the release of the arguments after the hook.
//! - The others are round trips within one interpreter: from an object to bytes to another object and
//!   the release of that.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rtrb::RingBuffer;
use tessera_protocol::ids::EntityId;
use tessera_python::Message;
use tessera_python::testing::{Arguments, Interpreter, Sample};

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

/// Where messages come from and where they go.
struct Ends<'a> {
    sender: Sample<'a>,
    receiver: Interpreter,
}

impl Ends<'_> {
    /// Times messages, without the changes from one end to the other and the release of what is left of
    /// the arguments.
    fn measure<T>(
        &mut self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        make: fn(&mut Sample<'_>, u32) -> T,
        hear: fn(&mut Interpreter, T, &mut Arguments),
    ) {
        let Self { sender, receiver } = self;
        let mut run = |count: u64| {
            let mut lane = Lane::new();
            let mut arguments = Arguments::default();
            let mut spent = Duration::ZERO;
            let ticks = count.div_ceil(MESSAGES.into());
            for _ in 0..ticks {
                sender.attach();
                let start = Instant::now();
                lane.send(|seq| make(sender, seq));
                spent += start.elapsed();
                receiver.attach();
                let start = Instant::now();
                lane.receive(|message| hear(receiver, message, &mut arguments));
                spent += start.elapsed();
                arguments.clear();
            }
            spent.mul_f64(count as f64 / (ticks * u64::from(MESSAGES)) as f64)
        };
        group.bench_function(name, |bencher| bencher.iter_custom(&mut run));
    }
}

fn message(sender: &mut Sample<'_>, seq: u32) -> Message {
    Message {
        target: EntityId(1),
        sender: EntityId(2),
        seq,
        payload: sender.payload(),
    }
}

fn hear(receiver: &mut Interpreter, message: Message, arguments: &mut Arguments) {
    receiver.hear(&message, arguments);
}

fn between_zones(criterion: &mut Criterion) {
    let receiver = Interpreter::start();
    let mut interpreter = Interpreter::start();
    let sender = Sample::new(&mut interpreter, DICT_OF_10);
    let mut ends = Ends { sender, receiver };
    let group = &mut criterion.benchmark_group("dict of 10 between zones");
    ends.measure(group, "clone + send + receive", message, hear);
    ends.measure(
        group,
        "marshal + send + receive",
        |sender, _seq| sender.marshal(),
        |_receiver, bytes, arguments| arguments.unmarshal(&bytes),
    );
    ends.measure(
        group,
        "clone + send + receive + release",
        message,
        |receiver, message, arguments| {
            hear(receiver, message, arguments);
            arguments.clear();
        },
    );
    group.bench_function("digest of the payload", |bencher| {
        ends.sender.attach();
        let payload = ends.sender.payload();
        bencher.iter(|| payload.digest());
    });
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
