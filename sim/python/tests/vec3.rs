//! `Vec3` in Python against glam's `DVec3`.

use glam::DVec3;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tessera_python::testing::Interpreter;

/// The numbers in the text of a tuple or list of floats.
fn numbers(text: &str) -> Vec<f64> {
    text.trim_matches(['(', ')', '[', ']'])
        .split(", ")
        .map(|number| {
            number
                .parse()
                .unwrap_or_else(|_| panic!("a float, not {number:?}"))
        })
        .collect()
}

/// An expression that makes exactly this vector.
fn code(v: DVec3) -> String {
    format!("Vec3({:?}, {:?}, {:?})", v.x, v.y, v.z)
}

#[test]
fn arithmetic_is_glams_bit_for_bit() {
    let python = std::cell::RefCell::new(Interpreter::start());
    let number = || prop_oneof![-1e3..1e3_f64, Just(0.0), Just(-0.0), -1e-9..1e9_f64];
    let vector = || [number(), number(), number()].prop_map(DVec3::from);
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let inputs = (vector(), vector(), number());
    let result = TestRunner::new(config).run(&inputs, |(u, v, s)| {
        let mut python = python.borrow_mut();
        python
            .run(&format!("u, v, s = {}, {}, {s:?}", code(u), code(v)))
            .expect("vectors");
        let mut check = |code: &str, expect: DVec3| {
            let got = numbers(&python.show(&format!("tuple({code})")).expect(code));
            let bits = |v: &[f64]| v.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&got), bits(&expect.to_array()), "{}: {:?}", code, got);
            Ok(())
        };
        check("u + v", u + v)?;
        check("u - v", u - v)?;
        check("-u", -u)?;
        check("+u", u)?;
        check("u * s", u * s)?;
        check("s * u", s * u)?;
        check("u.cross(v)", u.cross(v))?;
        check("u.flat()", DVec3::new(u.x, 0.0, u.z))?;
        check("u.with_y(s)", DVec3::new(u.x, s, u.z))?;
        check("u.lerp(v, s)", u + (v - u) * s)?;
        if s != 0.0 {
            check("u / s", u / s)?;
        }
        let scalars =
            "[u.dot(v), u.length(), u.length_squared(), u.distance(v), u.distance_squared(v)]";
        let got = numbers(&python.show(scalars).expect(scalars));
        let expect = [
            u.dot(v),
            u.length(),
            u.length_squared(),
            u.distance(v),
            u.distance_squared(v),
        ];
        prop_assert_eq!(got, expect);
        let got = numbers(&python.show("tuple(u.normalized())").expect("a vector"));
        let expect = u.normalize_or_zero();
        prop_assert!(
            DVec3::from_slice(&got).abs_diff_eq(expect, 1e-12),
            "{:?}",
            got
        );
        let equal = python.show("u == v, u != v, hash(u) == hash(Vec3(*u)), u == Vec3(*u)");
        let expect = if u == v {
            "(True, False, True, True)"
        } else {
            "(False, True, True, True)"
        };
        prop_assert_eq!(equal.as_deref(), Ok(expect));
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn it_behaves_like_a_value() {
    let mut python = Interpreter::start();
    for (code, expect) in [
        ("Vec3()", "Vec3(0.0, 0.0, 0.0)"),
        ("Vec3(1, 2.5)", "Vec3(1.0, 2.5, 0.0)"),
        ("Vec3(z=3, x=True)", "Vec3(1.0, 0.0, 3.0)"),
        ("Vec3.__new__(Vec3, 1, z=2)", "Vec3(1.0, 0.0, 2.0)"),
        ("Vec3(1e300, -0.0, 1e-7)", "Vec3(1e+300, -0.0, 1e-07)"),
        ("[*Vec3(1, 2, 3)]", "[1.0, 2.0, 3.0]"),
        (
            "Vec3(1, 2, 3)[0], Vec3(1, 2, 3)[-1], len(Vec3())",
            "(1.0, 3.0, 3)",
        ),
        ("2.0 in Vec3(1, 2, 3)", "True"),
        (
            "Vec3(1, 2, 3).x, Vec3(1, 2, 3).y, Vec3(1, 2, 3).z",
            "(1.0, 2.0, 3.0)",
        ),
        (
            "Vec3(0.0) == Vec3(-0.0), hash(Vec3(0.0)) == hash(Vec3(-0.0))",
            "(True, True)",
        ),
        ("Vec3(float('nan')) == Vec3(float('nan'))", "False"),
        (
            "Vec3() == (0.0, 0.0, 0.0), Vec3() == None",
            "(False, False)",
        ),
        ("{Vec3(1): 2}[Vec3(1)]", "2"),
        (
            "__import__('copy').deepcopy({'a': Vec3(1)})",
            "{'a': Vec3(1.0, 0.0, 0.0)}",
        ),
        ("Vec3().normalized()", "Vec3(0.0, 0.0, 0.0)"),
        ("isinstance(Vec3(), Vec3), Vec3.__name__", "(True, 'Vec3')"),
    ] {
        assert_eq!(python.show(code).as_deref(), Ok(expect), "{code}");
    }
}

#[test]
fn mistakes_are_named() {
    let mut python = Interpreter::start();
    for (code, expect) in [
        (
            "Vec3(1, 2, 3, 4)",
            "TypeError: Vec3() takes at most 3 arguments, not 4",
        ),
        (
            "Vec3('1')",
            "TypeError: Vec3(): x must be a number, not str",
        ),
        ("Vec3(1, x=2)", "TypeError: Vec3() got x twice"),
        ("Vec3(w=2)", "TypeError: Vec3() has no argument w: x, y, z"),
        (
            "Vec3(10**400)",
            "OverflowError: int too large to convert to float",
        ),
        (
            "Vec3() * Vec3()",
            "TypeError: unsupported operand type(s) for *",
        ),
        (
            "Vec3() * (10**400)",
            "OverflowError: int too large to convert to float",
        ),
        ("Vec3() + 1", "TypeError: unsupported operand type(s) for +"),
        ("1 / Vec3()", "TypeError: unsupported operand type(s) for /"),
        ("Vec3() / 0", "ZeroDivisionError: Vec3 divided by zero"),
        ("Vec3() < Vec3()", "TypeError: '<' not supported"),
        (
            "Vec3().dot((1, 2, 3))",
            "TypeError: Vec3.dot() takes a Vec3, not tuple",
        ),
        (
            "Vec3().with_y('up')",
            "TypeError: Vec3.with_y() takes a number, not str",
        ),
        (
            "Vec3().lerp(Vec3())",
            "TypeError: Vec3.lerp() takes other and t, not 1 arguments",
        ),
        ("Vec3()[3]", "IndexError: a Vec3 has 3 components"),
        (
            "setattr(Vec3(), 'x', 1.0)",
            "AttributeError: readonly attribute",
        ),
        (
            "setattr(Vec3(), 'w', 1.0)",
            "AttributeError: 'tessera.Vec3' object has no attribute 'w'",
        ),
        (
            "setattr(Vec3, 'w', 1.0)",
            "TypeError: cannot set 'w' attribute of immutable type",
        ),
        (
            "type('Sub', (Vec3,), {})",
            "TypeError: type 'tessera.Vec3' is not an acceptable base type",
        ),
        (
            "type(memoryview(b'').obj) and SharedBuffer()",
            "TypeError: cannot create",
        ),
    ] {
        let error = python.show(code).expect_err(code);
        assert!(error.starts_with(expect), "{code}: {error}");
    }
}

/// Each instance of a heap type holds a reference to it.
#[test]
fn nothing_leaks() {
    let mut python = Interpreter::start();
    python
        .run(
            "import sys\n\
             before = sys.getrefcount(Vec3)\n\
             def work():\n\
             \x20   v = Vec3(1, 2, 3)\n\
             \x20   x, y, z = (v + v * 2.0 - v / 2).cross(-v).normalized().lerp(v, 0.5).flat()\n\
             \x20   for mistake in (lambda: v + 1, lambda: v * 'a', lambda: v.dot(1), lambda: v[3]):\n\
             \x20       try: mistake()\n\
             \x20       except (TypeError, IndexError): pass\n\
             \x20   repr(v), hash(v), v == v, v.x, v[1], {v: [v]}\n\
             for _ in range(100): work()\n\
             after = sys.getrefcount(Vec3)\n",
        )
        .expect("it runs");
    assert_eq!(python.show("after - before").as_deref(), Ok("0"));
}
