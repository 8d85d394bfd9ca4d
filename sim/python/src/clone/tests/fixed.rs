//! Chosen values: round trips, sharing, canonical bytes, refusals with their path.

use crate::clone::{Cloned, Containers, DEPTH_MAX, is_immutable};
use crate::testing::Interpreter;
use tessera_protocol::ids::EntityId;
use tessera_protocol::value::Value;

/// Clones `code` and checks that it comes back as an equal value of the same types.
#[track_caller]
fn check(python: &mut Interpreter, code: &str) {
    let value = python
        .eval(code)
        .unwrap_or_else(|error| panic!("{code}: {error}"));
    let bytes = python
        .encode(&value)
        .unwrap_or_else(|error| panic!("{code}: {error}"));
    let copy = python
        .decode(&bytes, Containers::Live)
        .unwrap_or_else(|error| panic!("{code}: {error}"));
    python.name("a", &value);
    python.name("b", &copy);
    // Containers and types show in the repr, and so does -0.0; sets have one order after a clone.
    let same = "(repr(a) == repr(b) or a == b) and type(a) is type(b)";
    assert_eq!(python.show(same).as_deref(), Ok("True"), "{code}");
    assert_eq!(
        python.encode(&copy).as_ref(),
        Ok(&bytes),
        "{code}: its clone has other bytes"
    );
}

#[test]
fn values_come_back() {
    let python = &mut Interpreter::start();
    for code in [
        "None",
        "True",
        "False",
        "0",
        "-1",
        "127",
        "-128",
        "128",
        "-129",
        "2**31",
        "2**63 - 1",
        "-2**63",
        "2**63",
        "-2**63 - 1",
        "2**64 - 1",
        "2**8000",
        "-2**8000 + 1",
        "0.0",
        "-0.0",
        "1e300",
        "float('inf')",
        "''",
        "'weapon'",
        "'Grüße, 世界 🎯'",
        "'x' * 254",
        "'x' * 255",
        "'a\\0b'",
        "b''",
        "b'\\x00\\xff'",
        "bytes(range(256)) * 64",
        "Vec3(1.0, -0.0, 2.5)",
        "()",
        "(1,)",
        "(1, 'a', None, (2.0, (3,)))",
        "[]",
        "[[], [[]]]",
        "{}",
        "{'a': 1, 'b': [2, 3], 4: {'c': None}}",
        "{None: 1, True: 2, 2.5: 3, 'k': 4, b'k': 5, (1, 2): 6, frozenset((1, 2)): 7, Vec3(1): 8}",
        "set()",
        "{1, 'two', 3.0, (4, 5), None}",
        "frozenset()",
        "frozenset(((1, 2), frozenset((3, 4, 5))))",
        "list(range(1000))",
        "{str(n): n for n in range(1000)}",
        "[[n] for n in range(100)]",
    ] {
        check(python, code);
    }
}

/// Both ends know keys again from the third dict on.
#[test]
fn dicts_of_the_same_keys_come_back() {
    let python = &mut Interpreter::start();
    python
        .run("class Record: pass\nrecord = Record()\nrecord.a, record.b = 1, [2]")
        .unwrap();
    for code in [
        "{'id': 17, 'tags': ('a', 'b'), 'inv': [1, 300], 'of': {'id': 18, 'tags': None}}",
        "{'id': None, 'tags': {'id': 1, 'tags': {'id': [], 'tags': {}}}}",
        "{'tags': 1, 'id': 2}",
        "{'id': 1, 'x': 2}",
        "{'id': 1, 'y': 2}",
        "{'Grüße': 1, '世界': [2]}",
        "{'k' * 300: 1, 'l': [2]}",
        "{f'key {n}': n for n in range(1000)}",
        "{1: 'a', 2: 'b'}",
        "{'a': 1, 2: 'b'}",
        "(lambda d: (d.pop('b'), d)[1])({'a': 1, 'b': 2, 'c': 3})",
        "(lambda d: (d.pop('a'), d)[1])({'a': 1})",
        "vars(record)",
    ] {
        for _ in 0..4 {
            check(python, code);
        }
    }
    // A dict is as large as if it had been made of its keys, whether they were known or not.
    let value = python.eval("{'p': [1], 'q': (2,), 'r': None}").unwrap();
    let bytes = python.encode(&value).unwrap();
    for _ in 0..4 {
        let copy = python.decode(&bytes, Containers::Live).unwrap();
        python.name("copy", &copy);
        let size = "copy.__sizeof__() - {'p': 1, 'q': 2, 'r': 3}.__sizeof__()";
        assert_eq!(python.show(size).as_deref(), Ok("0"));
        // What is done to a clone is no matter for the next.
        python
            .run("copy['p'].append(copy); copy['s'] = copy.pop('q')")
            .unwrap();
    }
    assert_eq!(bytes[..3], [13, 3, 9], "three keys of three bytes each");
    for count in [2, 4] {
        let mut bytes = bytes.clone();
        bytes[1] = count;
        let error = python.decode(&bytes, Containers::Live).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
    }
}

#[test]
fn sharing_and_cycles_are_kept() {
    let python = &mut Interpreter::start();
    for (build, holds) in [
        ("l = [1]; v = (l, l)", "v[0] is v[1] and v[0] == [1]"),
        ("d = {}; d['me'] = d; v = d", "v['me'] is v and len(v) == 1"),
        (
            "s = {1}; v = {'a': s, 'b': [s]}",
            "v['a'] is v['b'][0] and v['a'] == {1}",
        ),
        ("d = {}; v = [d, (d, [d])]", "v[0] is v[1][0] is v[1][1][0]"),
        (
            "v = [[n] for n in range(50)]; v = v + v",
            "all(v[n] is v[n + 50] for n in range(50))",
        ),
        (
            "a = {}; b = {'a': a}; a['b'] = b; v = (a, b)",
            "v[0]['b'] is v[1] and v[1]['a'] is v[0]",
        ),
    ] {
        python.run(build).unwrap();
        // The keys of dicts are new to both ends, then known.
        for _ in 0..3 {
            let value = python.eval("v").unwrap();
            let bytes = python.encode(&value).unwrap();
            let copy = python.decode(&bytes, Containers::Live).unwrap();
            python.name("v", &copy);
            assert_eq!(python.show(holds).as_deref(), Ok("True"), "{build}");
        }
    }
    // However many references CPython counts: the tuple around a list can be met again.
    for (build, args, holds) in [
        ("t = ([],)", "((t, t),)", "args[0][0][0] is args[0][1][0]"),
        ("t = ({1},)", "(t, t)", "args[0][0] is args[1][0]"),
        (
            "t = ([],)",
            "({'a': t, 'b': [t]},)",
            "args[0]['a'][0] is args[0]['b'][0][0]",
        ),
        (
            "t = ([],)",
            "([(t,), (t,)],)",
            "args[0][0][0][0] is args[0][1][0][0]",
        ),
        (
            "c = []; t = (c,); c.append(t); del c",
            "t",
            "args[0][0][0] is args[0]",
        ),
        (
            "c = []; t = (c,); c.append(t); del c",
            "(t,)",
            "args[0][0][0][0] is args[0][0]",
        ),
    ] {
        python.run(build).unwrap();
        let message = python.send(args).unwrap();
        python.receive(&message).unwrap();
        assert_eq!(python.show(holds).as_deref(), Ok("True"), "{build} {args}");
    }
    // A message's list may contain itself; a field's may not, since views see it as a tuple.
    python.run("l = [0]; l.append(l); m = {'in': [l]}").unwrap();
    let message = python.send("(l,)").unwrap();
    python.receive(&message).unwrap();
    assert_eq!(python.show("args[0][1] is args[0]").as_deref(), Ok("True"));
    let value = python.eval("m").unwrap();
    let error = python.encode(&value).unwrap_err();
    assert!(
        error.starts_with("TypeError: brain[\"in\"][0][1]: a list that contains itself"),
        "{error}"
    );
}

/// What two zones may hold differently, one the original, the other a clone, must have one form.
#[test]
fn bytes_tell_equal_values_apart_by_nothing_else() {
    let python = &mut Interpreter::start();
    python.run("held = []").unwrap();
    for (one, other) in [
        (
            "(lambda t: (t, t))((1, 2))",
            "(tuple([1, 2]), tuple([1, 2]))",
        ),
        ("{3, 1, 2}", "set([2, 3, 1])"),
        ("frozenset(range(100))", "frozenset(reversed(range(100)))"),
        ("'ab'", "''.join(['a', 'b'])"),
        // `held` is a list with more references than the one that counts.
        ("(lambda t: (t, t))((held,))", "(lambda t: (t, t))(([],))"),
        ("(lambda t: [t, t])((held,))", "(lambda t: [t, t])(([],))"),
    ] {
        let one = python.eval(one).unwrap();
        let other = python.eval(other).unwrap();
        assert_eq!(python.encode(&one), python.encode(&other));
    }
    // A set that was emptied and refilled iterates in another order than a new one; clones don't.
    python
        .run("s = set(range(1000))\nfor n in range(993): s.discard(n)\ns.add(0); s.add(8)")
        .unwrap();
    let orders = ["s", "set([993, 994, 995, 996, 997, 998, 999, 0, 8])"].map(|code| {
        let value = python.eval(code).unwrap();
        let bytes = python.encode(&value).unwrap();
        let copy = python.decode(&bytes, Containers::Live).unwrap();
        python.name("copy", &copy);
        python.show("list(copy)").unwrap()
    });
    assert_eq!(orders[0], orders[1]);
}

#[test]
fn views_get_what_nobody_can_change() {
    let python = &mut Interpreter::start();
    let value = python
        .eval("{'l': [1, [2]], 's': {3}, 'd': {'t': ([4],)}}")
        .unwrap();
    let bytes = python.encode(&value).unwrap();
    let view = python.decode(&bytes, Containers::Frozen).unwrap();
    python.name("view", &view);
    let shown = python.show("view").unwrap();
    assert_eq!(
        shown,
        "{'l': (1, (2,)), 's': frozenset({3}), 'd': mappingproxy({'t': ((4,),)})}"
    );
    assert_eq!(
        python.show("type(view).__name__").as_deref(),
        Ok("mappingproxy")
    );
    // A part of a view can be stored and sent: it is a dict again.
    let part = python.eval("(view['d'], view['d'])").unwrap();
    let bytes = python.encode(&part).unwrap();
    let copy = python.decode(&bytes, Containers::Live).unwrap();
    python.name("copy", &copy);
    assert_eq!(
        python.show("copy").as_deref(),
        Ok("({'t': ((4,),)}, {'t': ((4,),)})")
    );
    assert_eq!(python.show("copy[0] is copy[1]").as_deref(), Ok("True"));
}

#[test]
fn views_keep_sharing_and_cycles_of_dicts() {
    let python = &mut Interpreter::start();
    python
        .run("l = [1]; d = {'l': (l, l)}; d['me'] = d")
        .unwrap();
    let value = python.eval("d").unwrap();
    let bytes = python.encode(&value).unwrap();
    let view = python.decode(&bytes, Containers::Frozen).unwrap();
    python.name("v", &view);
    let holds = "v['l'][0] is v['l'][1] and v['l'][0] == (1,) and v['me'] is v";
    assert_eq!(python.show(holds).as_deref(), Ok("True"));
}

#[test]
fn refusals_name_the_way() {
    let python = &mut Interpreter::start();
    python
        .run(
            "import enum\n\
             class Player(Entity): pass\n\
             class Color(enum.IntEnum):\n RED = 1\n\
             class Odd: pass\n\
             player = Player()\n\
             deep = ()\n\
             for _ in range(100): deep = (deep,)\n\
             wide = ()\n\
             for _ in range(40): wide = (wide, wide)\n",
        )
        .unwrap();
    for (args, error) in [
        (
            "(0, {'inventory': [0, 1, 2, player]})",
            r#"args[1]["inventory"][3]: Player can't be sent: send its .id"#,
        ),
        (
            "(Odd(),)",
            "args[0]: Odd can't be sent: only None, bool, int,",
        ),
        (
            "(Odd,)",
            "args[0]: type can't be sent: send a name and look it up",
        ),
        (
            "(len,)",
            "args[0]: builtin_function_or_method can't be sent: send a name",
        ),
        (
            "(Color.RED,)",
            "args[0]: Color, a subclass of int, can't be sent: send int(...)",
        ),
        (
            "(bytearray(b'x'),)",
            "args[0]: bytearray can't be sent: send bytes(...) of it",
        ),
        ("(1j,)", "args[0]: complex can't be sent"),
        (
            "({1: {'it\\'s': [player]}},)",
            r#"args[0][1]["it's"][0]: Player"#,
        ),
        (
            "({(1, player): 2},)",
            "args[0] (a key)[1]: Player can't be sent",
        ),
        (
            "([{player}],)",
            "args[0][0] (an element): Player can't be sent",
        ),
        (
            "({float('nan'): 1},)",
            "args[0] (a key): NaN can't be a key",
        ),
        (
            "({(1, Vec3(0, float('nan'), 0))},)",
            "args[0] (an element)[1]: NaN can't be a key",
        ),
        ("('\\ud800',)", "args[0]: a str with lone surrogates"),
        ("(2**9000,)", "args[0]: an int of more than 1024 bytes"),
        ("(wide,)", "more than 1048576 bytes of values"),
        (
            "([0.0] * 120000,)",
            "args: more than 1048576 bytes of values",
        ),
        (
            "(memoryview(bytes(100))[::2],)",
            "args[0]: a memoryview that was released or has gaps",
        ),
        (
            "(memoryview(bytes(100)).cast('I'),)",
            "args[0]: a memoryview of more than bytes",
        ),
        (
            "({memoryview(b'x'): 1},)",
            "args[0] (a key): memoryview can't be sent",
        ),
    ] {
        let got = python.send(args).map(|_| ()).unwrap_err();
        assert!(
            got.starts_with("TypeError: ") && got.contains(error),
            "{args}: {got}"
        );
    }
    let error = python.send("(deep,)").unwrap_err();
    assert!(
        error.contains(&format!("nested more than {DEPTH_MAX} deep")),
        "{error}"
    );

    let value = python.eval("[player]").unwrap();
    let error = python.encode(&value).unwrap_err();
    assert_eq!(
        error,
        "TypeError: brain[0]: Player can't be kept in a field: keep its .id"
    );
    for (code, way) in [
        ("float('nan')", "brain"),
        ("[1, (float('nan'),)]", "brain[1][0]"),
        ("{'at': Vec3(0, float('nan'), 0)}", "brain[\"at\"]"),
    ] {
        let value = python.eval(code).unwrap();
        let error = python.encode(&value).unwrap_err();
        let expected = format!("TypeError: {way}: NaN can't be kept in a field");
        assert!(error.starts_with(&expected), "{code}: {error}");
    }
    python
        .send("(float('nan'), [Vec3(0, float('nan'), 0)])")
        .expect("it goes");
}

#[test]
fn a_refused_value_leaves_nothing_behind() {
    let python = &mut Interpreter::start();
    let bad = python.eval("[1, 2, object()]").unwrap();
    let good = python.eval("[1, 2]").unwrap();
    let before = python.encode(&good).unwrap();
    python.encode(&bad).unwrap_err();
    assert_eq!(python.encode(&good), Ok(before));
}

#[test]
fn immutable_means_all_through() {
    let python = &mut Interpreter::start();
    for (code, expect) in [
        ("None", true),
        ("True", true),
        ("2**100", true),
        ("'x'", true),
        ("b'x'", true),
        ("Vec3()", true),
        ("()", true),
        ("(1, ('a', (Vec3(), None)))", true),
        ("frozenset()", true),
        // The order in which these iterate depends on how they were made.
        ("frozenset((1, 2))", false),
        ("[]", false),
        ("(1, [])", false),
        ("(1, ({},))", false),
        ("set()", false),
        ("bytearray()", false),
        ("memoryview(b'')", false),
        ("Entity()", false),
    ] {
        let value = python.eval(code).unwrap();
        // SAFETY: the value is of the interpreter that this thread is attached to.
        assert_eq!(unsafe { is_immutable(value.as_ptr()) }, expect, "{code}");
    }
}

#[test]
fn messages_of_the_engine_need_no_interpreter() {
    let args = [
        Value::Int(3),
        Value::Int(-70_000),
        Value::Str("Zoë".into()),
        Value::Bool(true),
        Value::None,
        Value::Float(0.5),
        Value::Entity(EntityId(9)),
    ];
    let message = Cloned::from_values("join", &args);
    assert_eq!(message.name(), b"join");
    let python = &mut Interpreter::start();
    python.receive(&message).unwrap();
    assert_eq!(
        python.show("args").as_deref(),
        Ok("[3, -70000, 'Zoë', True, None, 0.5, 9]")
    );
}

#[test]
fn digests_tell_messages_apart() {
    let python = &mut Interpreter::start();
    let one = python.send("(1, bytes(5000))").unwrap();
    let same = python.send("(1, bytes(5000))").unwrap();
    let other = python.send("(1, bytes(4999) + b'x')").unwrap();
    assert_eq!(one.digest(), same.digest());
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.len(), 5000 + 5 + 2 + 2 + 1, "name, tuple, 1, buffer");
}

/// Each instance of a heap type holds a reference to it: whatever leaks, leaks a vector with it.
#[test]
fn neither_clones_nor_their_ruins_leak() {
    let python = &mut Interpreter::start();
    python
        .run(
            "import gc, sys\n\
             v = Vec3(1, 2, 3)\n\
             l = [v]\n\
             sample = {v: [v, (v, {v, 1}), frozenset((v, 2))], 'd': {'l': l, (v, 3): l}}\n\
             sample['me'] = sample\n\
             record = {'v': v, 'l': [v]}\n\
             record['me'] = record\n\
             sample['record'] = record\n",
        )
        .unwrap();
    let value = python.eval("sample").unwrap();
    let bytes = python.encode(&value).unwrap();
    let vectors = |python: &mut Interpreter| {
        python.run("gc.collect()").unwrap();
        python.show("sys.getrefcount(Vec3)").unwrap()
    };
    let before = vectors(python);
    for containers in [Containers::Live, Containers::Frozen] {
        python.decode(&bytes, containers).unwrap();
        for len in 0..bytes.len() {
            let error = python.decode(&bytes[..len], containers).unwrap_err();
            assert!(error.contains("damaged"), "{error}");
            // The tag of nothing in place of each byte stops it elsewhere, or changes a value.
            let mut bytes = bytes.clone();
            bytes[len] = 0xf0;
            let _ = python.decode(&bytes, containers);
        }
    }
    assert_eq!(vectors(python), before);
}
