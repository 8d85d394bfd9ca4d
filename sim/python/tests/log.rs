//! What scripts and their failures write to the server's log.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::{Mode, Zone};
use tessera_protocol::ids::ZoneId;
use tessera_python::ScriptConfig;

/// Collects what a subscriber writes.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one writer").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of four ticks of a mode with one entity.
fn log_of(tick: &str) -> String {
    let mode = Mode::exact(&format!(
        "from tessera import *\nimport sys\nclass Unit(Entity):\n    n: u8 = field(0)\n    \
         def tick(self, dt):\n        {tick}\ndef start(world): world.spawn(Unit)\n"
    ));
    heard(|| {
        let mut zone = mode.zone();
        zone.run_start();
        for _ in 0..4 {
            zone.step();
        }
    })
}

/// What `body` logs.
fn heard(body: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, body);
    String::from_utf8(sink.0.lock().expect("one writer").clone()).expect("UTF-8")
}

#[test]
fn a_failing_hook_is_logged_once_with_its_traceback() {
    let log = log_of("undefined.attribute");
    assert_eq!(log.matches("ERROR tessera::script").count(), 1, "{log}");
    assert!(
        log.contains("Unit.tick raised; the entity loses this tick"),
        "{log}"
    );
    assert!(log.contains("tick=0 entity=1"), "{log}");
    assert!(
        log.contains("probe/__init__.py\", line 6, in tick\n    undefined.attribute"),
        "{log}"
    );
    assert!(
        log.contains("NameError: name 'undefined' is not defined"),
        "{log}"
    );
}

/// Two zones of a match, one after the other.
#[test]
fn what_fails_in_two_zones_is_logged_once() {
    let mode = Mode::new(
        "class Unit(Entity):\n    n: u8 = field(0)\n    def tick(self, dt):\n        \
         if tick() == 0: undefined.attribute\n        if tick() == 1: self.n = 256\n        \
         if tick() == 2: self.send(self.id, 'hello')\ndef start(world): world.spawn(Unit)\n",
    );
    let config = mode.config();
    let log = heard(|| {
        for zone in 0..2 {
            let zone = ZoneId(zone);
            let mut zone = Zone::start(&ScriptConfig {
                zone,
                ..config.clone()
            });
            zone.run_start();
            for _ in 0..4 {
                zone.step();
            }
            assert_eq!(zone.scripts.stats().errors.len(), 2, "each counts its own");
        }
    });
    assert_eq!(log.matches("NameError: ").count(), 1, "{log}");
    assert_eq!(log.matches("but got int 256").count(), 1, "{log}");
    assert_eq!(log.matches("no method on_hello").count(), 1, "{log}");
}

#[test]
fn a_traceback_marks_what_raised_and_begins_with_the_cause() {
    let log =
        log_of("try: 1 / 0\n        except ZeroDivisionError as e: raise ValueError(2) from e");
    let cause = "line 6, in tick\n    try: 1 / 0\n         ^^^^^\nZeroDivisionError: division by zero\n\n\
                 The above exception was the direct cause of the following exception:\n\nTraceback";
    assert!(log.contains(cause), "{log}");
    assert!(log.contains("\nValueError: 2"), "{log}");
}

#[test]
fn a_traceback_of_a_deep_recursion_is_short() {
    let log = log_of("def f(): f()\n        f()");
    assert!(log.contains("[Previous line repeated 9"), "{log}");
    assert!(log.lines().count() < 20, "{log}");
}

#[test]
fn each_place_that_fails_is_logged() {
    let log = log_of("(None.a if tick() % 2 else\n        None.b)");
    assert_eq!(log.matches("ERROR tessera::script").count(), 2, "{log}");
}

#[test]
fn a_bad_value_is_logged_once() {
    let log = log_of("self.n = 256");
    assert_eq!(log.matches("ERROR tessera::script").count(), 1, "{log}");
    assert!(
        log.contains("Unit.n takes u8: an int from 0 to 255, but got int 256; "),
        "{log}"
    );
}

#[test]
fn a_message_without_a_method_is_logged_once() {
    let log = log_of("self.send(self.id, 'hello')");
    assert_eq!(log.matches("WARN tessera::script").count(), 1, "{log}");
    assert!(
        log.contains("Unit got the message \"hello\" but has no method on_hello"),
        "{log}"
    );
}

#[test]
fn the_librarys_logging_goes_to_the_log() {
    let log = log_of(
        "import logging; name = logging.getLogger('brain')\n        \
         if tick() == 2: name.debug('%d', 1); name.info('two'); logging.error('three')\n        \
         record = name.makeRecord('brain', 20, '', 0, 'x', (), None)\n        \
         assert (record.created, record.relativeCreated, record.thread, record.process) == (0, 0, None, None)\n        \
         assert logging.Formatter('%(asctime)s').format(record) == '1970-01-01 00:00:00,000'",
    );
    for line in [
        "DEBUG tessera::script: 1 zone=0 tick=2 entity=1",
        " INFO tessera::script: two",
        "ERROR tessera::script: three",
    ] {
        assert!(log.contains(line), "{line} in\n{log}");
    }
    assert!(!log.contains("raised"), "{log}");
}

#[test]
fn a_check_tells_once_of_each_place_that_compares_by_identity() {
    let mode = Mode::exact(
        "from tessera import *\nimport enum\nSEEN = object()\nclass Foo: pass\n\
         class Unit(Entity):\n    n: u32 = field(0)\n    o: object = field(None)\n    \
         def tick(self, dt):\n        \
         a = self.o is None or self.o is not True or type(self.o) is self.n or Foo is self.o\n        \
         b = self.o is ... or self.__class__ is Unit or a is NotImplemented or a is int or a is enum.Enum\n        \
         c = self.o is b\n        d = (a is SEEN, None is a is not c)\n        \
         e = 'x is y'  # a is b\n        f = not (a is 3)\ndef start(world): world.spawn(Unit)\n",
    );
    mode.write("deeper/__init__.py", "x = (lambda a, b:\n    a is not b)\n");
    let mut config = mode.config();
    let played = heard(|| drop(Zone::start(&config)));
    assert!(!played.contains("`is` asks"), "{played}");
    config.check = true;
    let log = heard(|| drop(Zone::start(&config)));
    let told: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once("probe/")?.1.split_once(": `is` asks"))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(
        told,
        [
            "__init__.py:11",
            "__init__.py:12",
            "__init__.py:14",
            "deeper/__init__.py:2"
        ],
        "{log}"
    );
}

#[test]
fn scripts_write_lines_at_their_level() {
    let log = log_of(
        "if tick() == 2: log('one', 'debug'); log('two', 'error'); print('th', end=''); \
         print('ree'); print('four', file=sys.stderr)",
    );
    for line in [
        "DEBUG tessera::script: one zone=0 tick=2 entity=1",
        "ERROR tessera::script: two",
        " INFO tessera::script: three",
        " WARN tessera::script: four",
    ] {
        assert!(log.contains(line), "{line} in\n{log}");
    }
}
