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
        ("posix.times()", "tick()"),
        ("os.getloadavg()", "tick()"),
        ("resource.getrusage(resource.RUSAGE_SELF)", "tick()"),
        ("sys.getallocatedblocks()", "fields"),
        ("gc.get_stats()", "fields"),
        ("gc.get_freeze_count()", "fields"),
        ("gc.get_objects()", "fields"),
        ("os.umask(0)", "options"),
        ("os.mkfifo('/tmp/x')", "options"),
        ("gc.get_referrers(1)", "fields"),
        ("os.getpid()", "fields"),
        ("posix.getpid()", "fields"),
        ("_thread.get_ident()", ".id"),
        ("_thread.get_native_id()", ".id"),
        ("threading.get_ident()", ".id"),
        ("threading.get_native_id()", ".id"),
        ("os.system('true')", "tessera.options"),
        ("os.popen('true')", "tessera.options"),
        ("os.fork()", "tessera.options"),
        ("posix.fork()", "tessera.options"),
        ("os.forkpty()", "tessera.options"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "tessera.options"),
        ("os.posix_spawnp('true', ['true'], {})", "tessera.options"),
        ("os.spawnl(os.P_WAIT, '/bin/true', 'true')", "tessera.options"),
        ("os.execv('/bin/true', ['true'])", "tessera.options"),
        ("os.execvp('true', ['true'])", "tessera.options"),
        ("os.execle('/bin/true', 'true', {})", "tessera.options"),
        ("subprocess.run(['true'])", "tessera.options"),
        ("subprocess.check_output('true', shell=True)", "tessera.options"),
        ("socket.socket()", "tessera.options"),
        ("open(NOTES, 'w')", "tessera.options"),
        ("open(NOTES, 'ab')", "tessera.options"),
        ("open(NOTES, 'r+')", "tessera.options"),
        ("open(pathlib.Path(NOTES), 'x')", "tessera.options"),
        ("io.FileIO(NOTES.encode(), 'w')", "tessera.options"),
        ("pathlib.Path(NOTES).write_text('x')", "tessera.options"),
        ("os.open(NOTES, os.O_WRONLY | os.O_CREAT)", "tessera.options"),
        ("os.mkdir(NOTES)", "tessera.options"),
        ("os.makedirs(NOTES)", "tessera.options"),
        ("os.rmdir(NOTES)", "tessera.options"),
        ("os.remove(NOTES)", "tessera.options"),
        ("pathlib.Path(NOTES).unlink()", "tessera.options"),
        ("os.rename(__file__, NOTES)", "tessera.options"),
        ("os.replace(__file__, NOTES)", "tessera.options"),
        ("os.link(__file__, NOTES)", "tessera.options"),
        ("os.symlink(__file__, NOTES)", "tessera.options"),
        ("os.truncate(NOTES, 0)", "tessera.options"),
        ("os.chdir('/')", "tessera.options"),
        ("os.chmod(NOTES, 0)", "tessera.options"),
        ("os.chown(NOTES, 0, 0)", "tessera.options"),
        ("os.utime(NOTES)", "tessera.options"),
        ("os.setxattr(NOTES, 'user.a', b'')", "tessera.options"),
        ("os.removexattr(NOTES, 'user.a')", "tessera.options"),
        ("os.putenv('A', 'b')", "tessera.options"),
        ("os.environ.update(A='b')", "tessera.options"),
        ("os.unsetenv('A')", "tessera.options"),
        ("os.listdir('/proc/self/task')", "tessera.options"),
        ("os.listdir(b'/sys')", "tessera.options"),
        ("next(os.scandir('/dev'))", "tessera.options"),
        ("list(pathlib.Path('/proc').iterdir())", "tessera.options"),
        ("os.readlink('/proc/self/exe')", "tessera.options"),
        ("posix.readlink('/proc/self')", "tessera.options"),
        ("open('/dev/urandom', 'rb')", "self.random()"),
        ("open('/tmp/../dev/random', 'rb')", "self.random()"),
        ("os.open('/dev/zero', os.O_RDONLY)", "tessera.options"),
        ("pathlib.Path('/proc/self/stat').read_text()", "tessera.options"),
        ("atexit.register(print)", "field"),
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
        ("random.Random()", "self.random()"),
        ("random.Random(None)", "self.random()"),
        ("random.Random(1).seed()", "self.random()"),
        ("random._inst.random()", "self.random()"),
        ("_random.Random()", "self.random()"),
        ("_random.Random(1).seed()", "self.random()"),
        ("random.SystemRandom()", "self.random()"),
        ("random._urandom(8)", "self.random()"),
        ("posix.urandom(8)", "self.random()"),
        ("ssl.RAND_bytes(8)", "self.random()"),
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
        ("datetime.datetime.min.now()", "tick()"),
        ("datetime.datetime.max.utcnow()", "tick()"),
        ("datetime.datetime.min.date().today()", "tick()"),
        ("datetime.date.today()", "tick()"),
        ("datetime.date.max.today()", "tick()"),
        ("_datetime.datetime.now()", "tick()"),
        ("_datetime.date.today()", "tick()"),
        ("tempfile.mkstemp()", "self.random()"),
        ("functools.partial(time.time)()", "tick()"),
    ]

    NOTES = __file__ + ".notes"

    def check():
        for code, instead in REFUSED:
            try:
                eval(code)
            except DeterminismError as error:
                assert instead in str(error), f"{code}: {error}"
            else:
                raise AssertionError(f"{code} was let through")
        assert not os.path.exists(NOTES)
"#;

fn mode(rest: &str) -> Mode {
    Mode::new(&format!(
        "import _datetime, _random, _thread, atexit, datetime, functools, gc, io, os, pathlib, posix\n\
         import random, resource, secrets, socket, ssl, subprocess, sys, tempfile, threading, time, uuid\n\
         {}\n{}",
        common::dedent(REFUSED),
        common::dedent(rest)
    ))
}

/// Calls `check` in a hook.
const IN_A_HOOK: &str = r#"
        class Thing(Entity):
            checked: bool = field(False)
            def tick(self, dt):
                check()
                self.checked = True
        def start(world):
            world.spawn(Thing)
"#;

fn checks_in_a_hook(mode: &Mode) {
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert_eq!(zone.scripts.stats().errors, []);
    assert_eq!(zone.field(1, "checked"), "Bool(true)");
}

/// In a process of its own it may: `sim/process/tests/walls.rs`.
#[test]
fn what_would_end_the_server_is_refused() {
    let source = r#"
        import os, posix, signal
        def check():
            for end in (
                lambda: os._exit(3), lambda: posix._exit(3), lambda: os.abort(),
                lambda: os.kill(1, 0), lambda: os.killpg(1, 0),
                lambda: signal.raise_signal(signal.SIGTERM), lambda: signal.alarm(1),
                lambda: signal.pthread_kill(1, 0),
                lambda: __import__("ctypes").string_at(0), lambda: __import__("_ctypes"),
            ):
                try:
                    end()
                except DeterminismError as error:
                    assert "can end the server" in str(error), error
                else:
                    raise AssertionError("it was let through")
        check()
    "#;
    checks_in_a_hook(&Mode::new(&format!("{source}{IN_A_HOOK}")));
}

#[test]
fn refused_while_the_mode_loads() {
    mode("check()\nclass Thing(Entity): pass").zone();
}

#[test]
fn refused_in_hooks() {
    checks_in_a_hook(&mode(IN_A_HOOK));
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
        import heapq, itertools, json, logging, math, multiprocessing, os, pathlib, pickle, pprint
        import queue, random, re, reprlib, secrets, ssl, statistics, string, subprocess, tempfile
        import textwrap, threading, time, uuid, weakref

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
        assert datetime.datetime.min < day < datetime.datetime.max
        assert datetime.datetime.min == datetime.datetime(1, 1, 1)
        assert datetime.datetime.max.microsecond == 999_999
        assert datetime.datetime.resolution == datetime.timedelta(microseconds=1)
        assert datetime.date.min.toordinal() == 1 and datetime.date.max.year == 9999
        assert pickle.loads(pickle.dumps(day.date())) == datetime.date(2020, 1, 31)

        class Birthday(datetime.date): pass
        assert not isinstance(day.date(), Birthday) and isinstance(Birthday(2020, 1, 1), datetime.date)

        # With a seed a generator is the same on every run.
        one, other = random.Random(5), random.Random(5)
        assert [one.random() for _ in range(3)] == [other.random() for _ in range(3)]
        one.seed("a")
        other.seed("a")
        assert one.sample(range(100), 5) == other.sample(range(100), 5)
        assert isinstance(one, random.Random)

        class Loaded(random.Random): pass
        assert Loaded(3).random() == random.Random(3).random()

        # Locks, and what calls itself, ask for the thread.
        @dataclasses.dataclass
        class Node:
            next: object = None

        node = Node()
        node.next = node
        assert "..." in repr(node)
        with threading.RLock():
            pass
        queue.Queue().put(1)
        weakref.finalize(node, print)

        # A mode's own files can be read.
        assert "class Thing" in pathlib.Path(__file__).read_text()
        with open(__file__, "rb") as file:
            assert file.read(4)
        assert os.path.exists(__file__) and os.listdir(os.path.dirname(__file__)) and os.listdir()
        assert os.path.realpath(__file__)
        try: os.readlink(__file__)
        except OSError: pass  # it is no link

        class Thing(Entity): pass
        "#,
    )
    .zone();
}

/// In hooks too: modules of the library and of the mode, and files, come through.
#[test]
fn hooks_may_import_and_read() {
    let mode = Mode::new(
        r#"
        class Thing(Entity):
            n: u32 = field(0)
            def tick(self, dt):
                import colorsys, json, pathlib, random
                from . import numbers_of_the_mode
                text = pathlib.Path(__file__).with_name("numbers_of_the_mode.py").read_text()
                assert text == "SEVEN = 7\n"
                assert random.Random(1).random() == random.Random(1).random()
                self.n = json.loads("[1]")[0] + numbers_of_the_mode.SEVEN
        def start(world):
            world.spawn(Thing)
        "#,
    );
    mode.write("numbers_of_the_mode.py", "SEVEN = 7\n");
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    zone.assert_clean();
    assert_eq!(zone.field(1, "n"), "U32(8)");
}
