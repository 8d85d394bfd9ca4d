//! Arbitrary values, with shared parts and cycles, and arbitrary bytes.

use std::cell::RefCell;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::clone::{Cloned, Containers, is_clone};
use crate::testing::Interpreter;

/// What the generated programs use, and the comparison of a value with its clone: lists, dicts and sets
/// of one correspond to those of the other one to one, so that what was shared is shared.
const PRELUDE: &str = "
import struct
from types import MappingProxyType

def double(bits):
    return struct.unpack('<d', struct.pack('<Q', bits))[0]

def text(*points):
    return ''.join(map(chr, points))

FROZEN = {list: tuple, dict: MappingProxyType, set: frozenset}

def same(a, b, frozen, there=None, back=None):
    if there is None:
        there, back = {}, {}
    want = FROZEN.get(type(a), type(a)) if frozen else type(a)
    if type(b) is not want:
        return False
    if type(a) in FROZEN:
        if id(a) in there:
            # Empty tuples are all one object.
            return there[id(a)] == id(b) and (back[id(b)] == id(a) or b == ())
        there[id(a)], back[id(b)] = id(b), id(a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, frozen, there, back) for x, y in zip(a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(x, y, frozen, there, back) and same(a[x], b[y], frozen, there, back)
            for x, y in zip(a, b))
    if isinstance(a, (set, frozenset)):
        return sorted(map(repr, a)) == sorted(map(repr, b)) or a == b
    if isinstance(a, float):
        return struct.pack('<d', a) == struct.pack('<d', b)
    return a == b or repr(a) == repr(b)
";

/// An interpreter with the prelude.
fn interpreter() -> RefCell<Interpreter> {
    let mut python = Interpreter::start();
    python.run(PRELUDE).expect("the prelude is valid");
    RefCell::new(python)
}

/// Runs `check` on many inputs; a failure prints the smallest input that it finds.
fn run<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&strategy, check);
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// An expression whose value can be hashed.
fn key() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("None".to_owned()),
        any::<bool>().prop_map(|truth| if truth { "True" } else { "False" }.to_owned()),
        any::<i64>().prop_map(|n| format!("({n})")),
        any::<i8>().prop_map(|n| format!("({n})")),
        (any::<i64>(), 0..1000_u32).prop_map(|(n, shift)| format!("({n} << {shift})")),
        any::<f64>()
            .prop_filter("NaN can't be a key", |value| !value.is_nan())
            .prop_map(|value| format!("double({})", value.to_bits())),
        any::<String>().prop_map(|text| text_of(&text)),
        "[a-z]{0,30}".prop_map(|text| format!("'{text}'")),
        vec(any::<u8>(), 0..300).prop_map(|bytes| format!("bytes({bytes:?})")),
        any::<[i16; 3]>().prop_map(|[x, y, z]| format!("Vec3({x}, {y}, {z})")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("tuple([{}])", items.join(", "))),
            vec(inner, 0..4).prop_map(|items| format!("frozenset([{}])", items.join(", "))),
        ]
    })
}

fn text_of(text: &str) -> String {
    let points: Vec<_> = text.chars().map(|c| u32::from(c).to_string()).collect();
    format!("text({})", points.join(", "))
}

/// A part of a value: something simple, or an earlier node.
#[derive(Clone, Debug)]
enum Part {
    Simple(String),
    Node(prop::sample::Index),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => key().prop_map(Part::Simple),
        1 => any::<u64>().prop_map(|bits| Part::Simple(format!("double({bits})"))),
        3 => any::<prop::sample::Index>().prop_map(Part::Node),
    ]
}

#[derive(Clone, Debug)]
enum Node {
    List(Vec<Part>),
    Tuple(Vec<Part>),
    Dict(Vec<(String, Part)>),
    Set(Vec<String>),
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        vec(part(), 0..5).prop_map(Node::List),
        vec(part(), 0..4).prop_map(Node::Tuple),
        vec((key(), part()), 0..5).prop_map(Node::Dict),
        vec(key(), 0..6).prop_map(Node::Set),
    ]
}

/// A program that leaves a value in `v`: nodes of earlier nodes, then references back from lists and
/// dicts to any node, which make cycles.
fn program() -> impl Strategy<Value = String> {
    let back = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (vec(node(), 1..20), vec(back, 0..4)).prop_map(|(nodes, backs)| {
        let mut code = String::new();
        for (at, node) in nodes.iter().enumerate() {
            let show = |part: &Part| match part {
                Part::Simple(code) => code.clone(),
                Part::Node(_) if at == 0 => "None".to_owned(),
                Part::Node(index) => format!("n{}", index.index(at)),
            };
            let list = |parts: &[Part]| parts.iter().map(show).collect::<Vec<_>>().join(", ");
            let value = match node {
                Node::List(parts) => format!("[{}]", list(parts)),
                Node::Tuple(parts) => format!("tuple([{}])", list(parts)),
                Node::Dict(pairs) => {
                    let pairs = pairs
                        .iter()
                        .map(|(key, part)| format!("{key}: {}", show(part)));
                    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
                }
                Node::Set(keys) => format!("set([{}])", keys.join(", ")),
            };
            writeln!(code, "n{at} = {value}").expect("writing to a String");
        }
        for (from, to) in &backs {
            let (from, to) = (from.index(nodes.len()), to.index(nodes.len()));
            match nodes[from] {
                Node::List(_) => writeln!(code, "n{from}.append(n{to})"),
                Node::Dict(_) => writeln!(code, "n{from}['back'] = n{to}"),
                _ => Ok(()),
            }
            .expect("writing to a String");
        }
        writeln!(code, "v = n{}", nodes.len() - 1).expect("writing to a String");
        code
    })
}

/// Whether a value was refused for what these programs can't rule out.
fn may_refuse(error: &str) -> bool {
    let reasons = [
        "a list that contains itself",
        "bytes of values",
        "NaN can't be",
        "nested more than",
    ];
    error.starts_with("TypeError: ") && reasons.iter().any(|reason| error.contains(reason))
}

#[test]
fn fields_come_back() {
    let python = interpreter();
    run(program(), |code| {
        let python = &mut *python.borrow_mut();
        python.run(&code).expect("programs are valid");
        let value = python.eval("v").expect("programs leave a value");
        let bytes = match python.encode(&value) {
            Ok(bytes) => bytes,
            Err(error) => {
                prop_assert!(may_refuse(&error), "{}", error);
                return Ok(());
            }
        };
        // The keys of dicts are new to both ends, then known.
        for (containers, frozen) in [
            (Containers::Live, "False"),
            (Containers::Frozen, "True"),
            (Containers::Live, "False"),
            (Containers::Frozen, "True"),
        ] {
            let copy = python.decode(&bytes, containers);
            let copy = copy.map_err(TestCaseError::fail)?;
            python.name("copy", &copy);
            let same = python.show(&format!("same(v, copy, {frozen})"));
            prop_assert_eq!(same.as_deref(), Ok("True"), "{:?}", containers);
            if containers == Containers::Live {
                prop_assert_eq!(python.encode(&copy), Ok(bytes.clone()));
            }
        }
        Ok(())
    });
}

#[test]
fn messages_come_back() {
    let python = interpreter();
    run(program(), |code| {
        let python = &mut *python.borrow_mut();
        python.run(&code).expect("programs are valid");
        match python.send("(v, 1, v)") {
            Ok(message) => {
                prop_assert_eq!(message.name(), b"hit");
                let mut bytes = Vec::new();
                message.write(&mut bytes);
                let read = &mut bytes.as_slice();
                let message = Cloned::read(read).expect("what was written");
                prop_assert!(read.is_empty());
                python.receive(&message).map_err(TestCaseError::fail)?;
                let same = python.show("same([v, 1, v], args, False)");
                prop_assert_eq!(same.as_deref(), Ok("True"));
            }
            Err(error) => prop_assert!(may_refuse(&error), "{}", error),
        }
        Ok(())
    });
}

/// Bytes are damaged, or they are the bytes of the value that they give.
fn check_bytes(python: &mut Interpreter, bytes: &[u8]) -> TestCaseResult {
    let mut decodes = true;
    for containers in [Containers::Live, Containers::Frozen] {
        match python.decode(bytes, containers) {
            Err(error) => {
                decodes = false;
                let damaged = error.starts_with("ValueError: a clone is damaged: ");
                prop_assert!(damaged, "{}", error);
            }
            Ok(value) if containers == Containers::Live => match python.encode(&value) {
                Ok(again) => prop_assert_eq!(&again, bytes),
                Err(error) => prop_assert!(may_refuse(&error), "{}", error),
            },
            Ok(_) => {}
        }
    }
    prop_assert_eq!(is_clone(bytes), decodes, "without an interpreter");
    Ok(())
}

#[test]
fn arbitrary_bytes_are_refused_or_canonical() {
    let python = interpreter();
    // Tags and small lengths come up often, so that containers get somewhere.
    let byte = prop_oneof![4 => 0..17_u8, 1 => any::<u8>(), 2 => 0..3_u8];
    run(vec(byte, 0..40), |bytes| {
        check_bytes(&mut python.borrow_mut(), &bytes)
    });
}

#[test]
fn damaged_bytes_are_refused_or_canonical() {
    let python = interpreter();
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let cut = any::<prop::sample::Index>();
    run((program(), damage, cut), |(code, damage, cut)| {
        let python = &mut *python.borrow_mut();
        python.run(&code).expect("programs are valid");
        let value = python.eval("v").expect("programs leave a value");
        let Ok(mut bytes) = python.encode(&value) else {
            return Ok(());
        };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check_bytes(python, &bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        check_bytes(python, &bytes)
    });
}
