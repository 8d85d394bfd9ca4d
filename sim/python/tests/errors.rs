//! What is wrong with a mode is said with file and line.

mod common;

use std::sync::Arc;

use common::Mode;
use tessera_python::{ModeSource, ScriptError, ScriptZone};

/// Starts a mode whose `__init__.py` is exactly `source` and returns its error.
fn refused(source: &str) -> ScriptError {
    match Mode::exact(source).start() {
        Ok(_) => panic!("should be refused:\n{source}"),
        Err(error) => error,
    }
}

/// Each source is refused in the line that holds `# here`, with a message that contains `expected`.
fn check(cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        let source = format!("from tessera import *\n{body}");
        let here = source.lines().position(|line| line.contains("# here"));
        let error = refused(&source);
        assert!(error.message.contains(expected), "{source}\ngave: {error}");
        let file = error.file.as_deref().unwrap_or_default();
        assert!(file.ends_with("probe/__init__.py"), "{error:?}");
        let line = here.map(|at| at as u32 + 1);
        assert_eq!(
            error.line, line,
            "{source}\ngave: {error}\n{}",
            error.traceback
        );
        let traceback = &error.traceback;
        assert!(
            traceback.is_empty() || traceback.contains(expected),
            "{traceback}"
        );
    }
}

#[test]
fn what_does_not_compile_is_refused_by_every_interpreter() {
    for (source, expected) in [
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("x = '\0'", "source code string cannot contain null bytes"),
    ] {
        let config = Mode::exact(source).config();
        let refused = || ScriptZone::start(&config).map(drop).expect_err(source);
        let first = refused();
        assert!(first.message.contains(expected), "{first}");
        assert_eq!(refused(), first);
    }
}

#[test]
fn scripts_that_do_not_run() {
    check(&[
        ("x = = 1 # here", "SyntaxError: invalid syntax"),
        (
            "if True:\nx = 1 # here",
            "IndentationError: expected an indented block",
        ),
        (
            "import no_such_module # here",
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("x = 1 / 0 # here", "ZeroDivisionError"),
        (
            "from tessera import Entitty # here",
            "cannot import name 'Entitty' from 'tessera'",
        ),
        ("raise SystemExit(1) # here", "SystemExit: 1"),
        ("raise KeyboardInterrupt # here", "KeyboardInterrupt"),
        ("def f(): f() # here\nf()", "RecursionError"),
    ]);
}

#[test]
fn an_error_in_a_module_of_the_mode_names_that_module() {
    let mode = Mode::exact("from . import weapons\n");
    let source = "from tessera import *\n\nclass Gun(Entity):\n    ammo: u8 = field(300)\n";
    mode.write("weapons.py", source);
    let error = mode.start().err().expect("300 is no u8");
    assert!(
        error
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with("probe/weapons.py")),
        "{error}"
    );
    assert_eq!(error.line, Some(3));
    let expected = "Gun.ammo takes u8: an int from 0 to 255, but got int 300";
    assert!(error.message.contains(expected), "{error}");
    let shown = error.to_string();
    assert!(
        shown.contains("weapons.py:3: DeclarationError: "),
        "{shown}"
    );
}

#[test]
fn an_error_inside_the_library_names_the_modes_line() {
    check(&[("import json\njson.loads('{') # here", "JSONDecodeError")]);
}

#[test]
fn declarations_that_only_the_engine_can_refuse() {
    let fields: String = (0..60)
        .map(|n| format!("    f{n}: u8 = field(0)\n"))
        .collect();
    let kinds: String = (0..64)
        .map(|n| format!("class A{n}(Entity): pass\n"))
        .collect();
    check(&[
        (
            "class A(Entity): # here\n    n: u8 = field(-1)",
            "the default doesn't fit: A.n takes u8: an int from 0 to 255, but got int -1",
        ),
        (
            "class A(Entity): # here\n    def __init__(self): self.n = 5",
            "A.__init__ would never run: entities are made by spawn(), which sets the fields; give them \
             defaults, or write on_spawn",
        ),
        (
            "class A(Entity): # here\n    x: bool = field(1)",
            "A.x takes a bool, but got int 1",
        ),
        (
            "class A(Entity): # here\n    s: str = field('abcd', max=3)",
            "A.s takes a str of at most 3 bytes of UTF-8, but got 4 bytes",
        ),
        (
            "class A(Entity): # here\n    o: object = field(print)",
            "A.o: TypeError",
        ),
        (
            "class A(Entity): # here\n    o: object = field(None, to=EVERYONE)",
            "A.o is an object, which clients can't receive: to=NOBODY",
        ),
        (
            "class A(Entity): # here\n    b: bool = field(True, wire=Range(0, 1, bits=1))",
            "A.b: wire=range doesn't go with this type",
        ),
        (
            &format!("class A(Entity): # here\n{fields}"),
            "A.f59 is one field too many: at most 64, base fields included",
        ),
        (
            &format!("{kinds}class B(Entity): pass # here"),
            "B is one kind too many: at most 64",
        ),
        (
            "class A(Entity): pass\nclass A(Entity): pass # here",
            "there is a kind called A already",
        ),
        (
            "class M(Match): pass\nclass N(Match): pass # here",
            "N and M both derive from Match, and a mode has one Match",
        ),
        (
            "class Mixin: pass\nclass A(Mixin, Entity): pass # here",
            "A would take undeclared attributes",
        ),
        (
            "class A(Entity): # here\n    hitbox = Capsule(radius=1.0, height=1.0)",
            "height 1 must be at least twice the radius 1",
        ),
        (
            "class A(Entity): # here\n    hitbox = Capsule(radius=0.4, height=1.8, when='alive')",
            "when=\"alive\" must name a bool field of A",
        ),
    ]);
}

#[test]
fn hooks_that_would_never_run() {
    let expected = "is a generator or async, which the engine would never run";
    check(&[
        (
            "class A(Entity):\n    async def tick(self, dt): pass # here",
            expected,
        ),
        (
            "class A(Entity):\n    def on_hit(self, sender): yield # here",
            expected,
        ),
    ]);
}

#[test]
fn hooks_that_are_no_functions() {
    for hook in [
        "    @classmethod\n    def tick(cls, dt): pass",
        "    tick = print",
        "    class tick: pass",
        "    @functools.lru_cache\n    def tick(self, dt): pass",
    ] {
        check(&[(
            &format!("import functools\nclass A(Entity): # here\n{hook}"),
            "A.tick is no plain function, which is what the engine calls with the entity: write def tick(self, dt)",
        )]);
    }
}

#[test]
fn hooks_that_the_engine_can_not_call() {
    for (hook, write) in [
        ("def tick(self)", "def tick(self, dt)"),
        ("def tick()", "def tick(self, dt)"),
        ("def tick(self, dt, more)", "def tick(self, dt)"),
        ("def tick(self, *, dt)", "def tick(self, dt)"),
        ("def tick(self, dt, *, more)", "def tick(self, dt)"),
        ("@staticmethod\n    def tick(dt)", "def tick(self, dt)"),
        ("def command(self)", "def command(self, cmd)"),
        ("def on_spawn(self, sender)", "def on_spawn(self)"),
        ("def on_restart(self, sender)", "def on_restart(self)"),
        ("def on_despawn()", "def on_despawn(self)"),
        ("def on_hit(self)", "def on_hit(self, sender, ...)"),
        ("def on_join()", "def on_join(self, sender, ...)"),
    ] {
        let name = &write["def ".len()..write.find('(').expect("parameters")];
        let expected = format!(
            "DeclarationError: A.{name} can't be called as the engine calls it: write {write}"
        );
        let hook = hook.replacen('\n', " # here\n", 1);
        check(&[(
            &format!("class A(Entity):\n    {hook}: pass # here"),
            &expected,
        )]);
    }
    check(&[
        (
            "class M(Match):\n    def on_join(self, sender, client): pass # here",
            "M.on_join can't be called as the engine calls it: write def on_join(self, sender, client, name)",
        ),
        (
            "class M(Match):\n    def on_leave(self, sender, client, name): pass # here",
            "M.on_leave can't be called as the engine calls it: write def on_leave(self, sender, client)",
        ),
        (
            "class Base:\n    __slots__ = ()\n    def tick(self): pass # here\nclass A(Base, Entity): pass",
            "A.tick can't be called as the engine calls it",
        ),
    ]);
}

#[test]
fn hooks_that_the_engine_can_call() {
    let mode = Mode::new(
        r#"
        from functools import partialmethod, wraps
        def logged(hook):
            @wraps(hook)
            def run(*args, **kwargs): return hook(*args, **kwargs)
            return run
        class A(Entity):
            def tick(self, dt, more=1, *rest, even=2, **most): pass
            def command(*args): pass
            def on_spawn(self, sender=0): pass
            def on_restart(*args, **kwargs): pass
            def on_hit(self, sender, damage, by): pass
            def on_miss(self, sender, /, *, loud=False): pass
        class B(Entity):
            tick = lambda entity, seconds: None
            @logged
            def command(self, cmd): pass
            def strike(self, how, sender): pass
            on_strike = partialmethod(strike, "hard")
        class C(Entity):
            on_fire: bool = field(False)
            on_colour = "red"
            def on_join(self, sender, anything): pass
        "#,
    );
    let zone = mode.zone();
    let handlers = |kind| zone.scripts.handlers(zone.kind(kind)).collect::<Vec<_>>();
    assert_eq!(handlers("A"), ["hit", "miss", "restart", "spawn"]);
    assert_eq!(handlers("B"), ["strike"]);
    assert_eq!(
        handlers("C"),
        ["join"],
        "neither a field nor a constant is one"
    );
}

#[test]
fn kinds_are_declared_while_the_mode_loads() {
    let mode = Mode::new(
        r#"
        class A(Entity):
            def tick(self, dt):
                class B(Entity): pass
        def start(world): world.spawn(A)
        "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    zone.step();
    assert!(
        zone.errors()[0].contains("B is declared too late"),
        "{:?}",
        zone.errors()
    );
}

#[test]
fn modes_that_are_none() {
    let error = refused("x = 1\n").to_string();
    let expected = "probe/__init__.py: DeclarationError: the mode declares no entity";
    assert!(error.contains(expected), "{error}");
    let mode = Mode::exact("");
    let error = ModeSource::read(&mode.folder.join("nowhere")).expect_err("there is no such mode");
    assert!(
        error
            .to_string()
            .contains("nowhere/__init__.py: there is no such file"),
        "{error}"
    );
    for (name, expected) in [
        ("random", "there is a module called random already: rename"),
        (
            "tessera",
            "there is a module called tessera already: rename",
        ),
        (
            "my-mode",
            "named like a Python module, not 'my-mode': rename",
        ),
        ("2fast", "named like a Python module, not '2fast': rename"),
    ] {
        mode.write(&format!("{name}/__init__.py"), "");
        let mut config = mode.config();
        config.mode = Arc::new(ModeSource::read(&mode.folder.join(name)).expect("a folder"));
        let error = ScriptZone::start(&config).err().expect("a bad name");
        assert!(error.message.contains(expected), "{error}");
        let file = error.file.as_deref().unwrap_or_default();
        assert!(file.ends_with(&format!("{name}/__init__.py")), "{error:?}");
        assert_eq!((error.line, &*error.traceback), (None, ""));
    }
}

#[test]
fn start_must_be_there_and_not_raise() {
    let thing = "from tessera import *\nclass A(Entity): pass\n";
    for start in ["", "start = 3\n"] {
        let error = refused(&format!("{thing}{start}"));
        let file = error.file.as_deref().unwrap_or_default();
        assert!(file.ends_with("probe/__init__.py"), "{error:?}");
        assert_eq!(error.line, None);
        let expected = "the mode has no function start(world), which puts its first entities into";
        assert!(error.message.contains(expected), "{error}");
    }
    let expected = "start can't be called as the engine calls it: write def start(world)";
    let class = "class A(Entity): pass";
    check(&[
        (&format!("{class}\ndef start(): pass # here"), expected),
        (
            &format!("{class}\ndef start(world, seed): pass # here"),
            expected,
        ),
        (
            &format!("{class}\nasync def start(world): pass # here"),
            "start is a generator or async",
        ),
    ]);

    let source = format!("{thing}def start(world):\n    world.spawn(A)\n    world.spawn(A, x=1)\n");
    let mode = Mode::exact(&source);
    let mut zone = mode.start().expect("it loads");
    let error = zone.run_start().expect_err("it raises");
    assert_eq!(error.line, Some(5));
    assert_eq!(
        error.message,
        "TypeError: spawn: A has no field x; it has position, velocity, yaw, pitch, owner"
    );
    assert!(zone.outbox().spawns.is_empty());
}
