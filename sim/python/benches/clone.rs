//! Structured clone beside `marshal`, the fastest serializer of Python's library, in one run:
//! `cargo bench -p tessera-python --bench clone`.
//!
//! A round trip is from an object to bytes to another object and the release of that. Both are called
//! as C functions, without the cost of a call from Python.

use criterion::{Criterion, criterion_group, criterion_main};
use tessera_python::testing::{Interpreter, Sample};

/// What scripts send: an event, a record, and lists of them.
const SAMPLES: [(&str, &str); 4] = [
    ("tuple of 4", "(17, 'hit', 12.5, 42)"),
    (
        "dict of 10",
        "{'id': 17, 'x': 1.5, 'y': -2.25, 'z': 3.5, 'name': 'player17', 'hp': 100, 'alive': True, \
         'target': None, 'tags': ('red', 'fast'), 'inv': [1, 2, 300]}",
    ),
    (
        "100 dicts of 10",
        "[{'id': n, 'x': 1.5, 'y': -2.25, 'z': 3.5, 'name': 'player17', 'hp': 100, 'alive': True, \
         'target': None, 'tags': ('red', 'fast'), 'inv': [1, 2, 300]} for n in range(100)]",
    ),
    ("1000 floats", "[n + 0.5 for n in range(1000)]"),
];

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

criterion_group!(benches, round_trips);
criterion_main!(benches);
