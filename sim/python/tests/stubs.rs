//! The stub file says what the native module has, so that editors and type checkers can be believed.

mod common;

use common::{Mode, START};

const STUBS: &str = include_str!("../package/_tessera.pyi");

/// Compares names, members of classes and parameters; raises with the list of differences.
const COMPARE: &str = r#"
import ast, inspect
import _tessera, tessera

# Seen by nobody but the memoryviews over them.
UNLISTED = {"SharedBuffer", "SnapshotBuffer"}
differences = []

def compare(where, stubs, natives):
    for name in sorted(stubs - natives):
        differences.append(f"{where}{name} is in the stubs only")
    for name in sorted(natives - stubs):
        differences.append(f"{where}{name} isn't in the stubs")

def names(body):
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    return found

def public(found):
    return {name for name in found if not name.startswith("_")}

def parameters(node):
    arguments = node.args
    return [a.arg for a in (*arguments.posonlyargs, *arguments.args)]

def compare_parameters(where, node, native):
    try:
        signature = inspect.signature(native)
    except (TypeError, ValueError):
        return  # it has none, or isn't there, which has been said
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    has = [p.name for p in signature.parameters.values() if p.kind in kinds]
    if has != parameters(node):
        differences.append(f"{where}: {has} isn't {parameters(node)} of the stubs")

module = names(ast.parse(STUBS).body)
compare("", public(module), public(vars(_tessera)) - UNLISTED)
for name, node in module.items():
    native = getattr(_tessera, name, None)
    if isinstance(node, ast.FunctionDef):
        compare_parameters(name, node, native)
    if isinstance(node, ast.ClassDef) and not issubclass(native, Exception):
        members = names(node.body)
        compare(f"{name}.", public(members), public(vars(native)))
        for member, declared in members.items():
            method = vars(native).get(member)
            if inspect.ismethoddescriptor(method) and not member.startswith("_"):
                compare_parameters(f"{name}.{member}", declared, method)

missing = [name for name in tessera.__all__ if not hasattr(tessera, name)]
assert not missing, missing
unlisted = public(vars(tessera)) - set(tessera.__all__)
assert not unlisted, unlisted
assert not differences, "\n".join(differences)

class Thing(tessera.Entity): pass
"#;

#[test]
fn stubs_match_the_native_module() {
    let literal = format!("{STUBS:?}")
        .replace("\\u{", "\\N{")
        .replace("\\'", "'");
    assert!(
        !literal.contains("\\N{"),
        "printable text only, whose escapes Python shares"
    );
    Mode::exact(&format!("STUBS = {literal}\n{COMPARE}{START}")).zone();
}
