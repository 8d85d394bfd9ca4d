//! What scripts and their failures write to the server's log.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::Mode;

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
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut zone = mode.zone();
        zone.run_start();
        for _ in 0..4 {
            zone.step();
        }
    });
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
