//! Clocks, dice and addresses are refused in modes, and the library goes on working.

mod common;

use common::Mode;

/// What a mode must not call, and a part of what it is told to use instead.
const REFUSED: &str = r#"
    REFUSED = [
        ("time.time()", "tick()"),
        ("time.time_ns()", "tick()"),
        ("time.monotonic()", "tick()"),
        ("time.perf_counter_ns()", "tick()"),
        ("time.process_time()", "tick()"),
        ("time.thread_time()", "tick()"),
        ("time.clock_gettime(time.CLOCK_REALTIME)", "tick()"),
        ("time.localtime(0)", "tick()"),
        ("time.ctime(0)", "tick()"),
        ("time.gmtime()", "tick()"),
        ("time.asctime()", "tick()"),
        ("time.strftime('%H')", "tick()"),
        ("time.sleep(0)", "keep a tick in a field"),
        ("os.times()", "tick()"),
        ("os.urandom(8)", "self.random()"),
        ("os.getrandom(8)", "self.random()"),
        ("random.random()", "self.random()"),
        ("random.uniform(0, 1)", "self.random()"),
        ("random.randrange(3)", "self.random()"),
        ("random.randint(1, 3)", "self.random()"),
        ("random.choice([1])", "self.random()"),
        ("random.shuffle([1])", "self.random()"),
        ("random.gauss()", "self.random()"),
        ("random.seed(1)", "self.random()"),
        ("random.Random(1)", "self.random()"),
        ("random.SystemRandom()", "self.random()"),
        ("secrets.token_bytes()", "self.random()"),
        ("secrets.randbelow(3)", "self.random()"),
        ("secrets.choice([1])", "self.random()"),
        ("secrets.SystemRandom()", "self.random()"),
        ("uuid.uuid1()", ".id"),
        ("uuid.uuid4()", ".id"),
        ("uuid.getnode()", ".id"),
        ("id(object())", ".id"),
        ("list(map(id, [1]))", ".id"),
        ("sorted([object()], key=id)", ".id"),
        ("datetime.datetime.now()", "tick()"),
        ("datetime.datetime.now(datetime.timezone.utc)", "tick()"),
        ("datetime.datetime.utcnow()", "tick()"),
        ("datetime.datetime.today()", "tick()"),
        ("datetime.date.today()", "tick()"),
        ("tempfile.mkstemp()", "self.random()"),
        ("functools.partial(time.time)()", "tick()"),
    ]

    def check():
        for code, instead in REFUSED:
            try:
                eval(code)
            except DeterminismError as error:
                assert instead in str(error), f"{code}: {error}"
            else:
                raise AssertionError(f"{code} was let through")
"#;

fn mode(rest: &str) -> Mode {
    Mode::new(&format!(
        "import datetime, functools, os, random, secrets, tempfile, time, uuid\n{}\n{}",
        common::dedent(REFUSED),
        common::dedent(rest)
    ))
}

#[test]
fn refused_while_the_mode_loads() {
    mode("check()\nclass Thing(Entity): pass").zone();
}

#[test]
fn refused_in_hooks() {
    let mode = mode(
        r#"
        class Thing(Entity):
            checked: bool = field(False)
            def tick(self, dt):
                check()
                self.checked = True
        def start(world):
            world.spawn(Thing)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(zone.scripts.stats().errors, []);
    assert_eq!(zone.field(1, "checked"), "Bool(true)");
}

/// Names bound by `from … import …` are the refused ones too.
#[test]
fn refused_by_any_name() {
    Mode::new(
        r#"
        from time import monotonic as clock
        from random import random as dice
        from datetime import datetime as when
        for refused in (clock, dice, when.now):
            try:
                refused()
            except DeterminismError:
                continue
            raise AssertionError(refused)
        class Thing(Entity): pass
        "#,
    )
    .zone();
}

#[test]
fn a_refusal_names_the_line() {
    let mode = Mode::exact("import time\nfrom tessera import Entity\n\nSTART = time.time()\n");
    let error = mode.start().err().expect("the mode reads a clock");
    assert_eq!(error.line, Some(4));
    assert!(
        error
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with("__init__.py")),
        "{error:?}"
    );
    assert!(
        error
            .message
            .contains("time.time() differs from run to run"),
        "{}",
        error.message
    );
}

#[test]
fn the_library_goes_on_working() {
    Mode::new(
        r#"
        # Some of these read a clock or an entropy pool while they are imported.
        import asyncio, bisect, collections, copy, dataclasses, datetime, decimal, enum, functools
        import heapq, itertools, json, logging, math, pathlib, pickle, pprint, queue, random, re
        import reprlib, secrets, statistics, string, tempfile, textwrap, threading, time, uuid

        @dataclasses.dataclass
        class Record:
            items: list[int]

        assert copy.deepcopy({"a": [Record([1])]}) == {"a": [Record([1])]}
        assert repr(Record([1, 2])) == "Record(items=[1, 2])"
        assert pprint.pformat({"a": 1}) == "{'a': 1}"
        assert json.loads(json.dumps({"a": [1]}, indent=1)) == {"a": [1]}
        assert pickle.loads(pickle.dumps(Vec3 and [1])) == [1]
        assert uuid.uuid5(uuid.NAMESPACE_DNS, "x").version == 5
        assert time.gmtime(0).tm_year == 1970 and time.strftime("%Y", time.gmtime(0)) == "1970"

        day = datetime.datetime(2020, 1, 31, 12)
        assert day + datetime.timedelta(days=1) == datetime.datetime(2020, 2, 1, 12)
        assert isinstance(day, datetime.datetime) and isinstance(day, datetime.date)
        assert isinstance(day.date(), datetime.date) and not isinstance(day.date(), datetime.datetime)
        assert isinstance(datetime.datetime.fromisoformat("2020-01-01"), datetime.datetime)
        assert issubclass(datetime.datetime, datetime.date)
        assert datetime.datetime.strptime("2020", "%Y").year == 2020

        class Thing(Entity): pass
        "#,
    )
    .zone();
}
