"""Finds comparisons with ``is`` that may come out differently in another zone.

A field's value is another object, equal to the one before, once its entity has crossed
into another zone. Only None, True, False and the like, and classes, are the same object
wherever one looks.
"""

import _ast
import builtins
from collections.abc import Iterator
from opcode import opmap
from types import CodeType, EllipsisType

import _tessera

_ONLY_AST = 0x0400
"""``PyCF_ONLY_AST``: `compile` returns a syntax tree."""

_IS = opmap["IS_OP"]

_CLASSES = {name for name, value in vars(builtins).items() if isinstance(value, type)}


def warn(modules: dict[str, tuple[bool, str]]) -> None:
    """Logs a line for each place in a mode's modules: name to whether it is a package,
    and file. Called when a mode that is only checked has been loaded."""
    for name, (_, file) in modules.items():
        try:
            code = _tessera._code(name)
            text = _tessera._source(name).encode().splitlines()
            lines = sorted(set(_places(code, text)))
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # it says so where it is imported, if it is
        for line in lines:
            _tessera.log(
                30,
                f"{file}:{line}: `is` asks whether it is the same object, which it no "
                f"longer is once the entity has crossed into another zone: compare "
                f"values with == or !=; `is` is for None, True, False and classes",
            )


def _places(module: CodeType, text: list[bytes]) -> Iterator[int]:
    """The lines. Only what was compiled to a comparison by identity is parsed again:
    trees of whole modules take as long as three ticks."""
    rest = [module]
    while rest:
        code = rest.pop()
        rest += [part for part in code.co_consts if isinstance(part, CodeType)]
        operations = code.co_code[::2]
        if _IS not in operations:
            continue
        places = zip(operations, code.co_positions(), strict=True)
        for operation, (first, last, start, end) in places:
            if operation != _IS or not (first and last):
                continue
            lines = text[first - 1 : last] or [b""]  # lines may be counted otherwise
            lines[-1] = lines[-1][:end]
            lines[0] = lines[0][start:]
            if any(map(_is_by_identity, _nodes(_parse(b"\n".join(lines))))):
                yield first


def _parse(expression: bytes) -> _ast.AST:
    try:
        tree: _ast.AST = compile(b"(" + expression + b")", "", "eval", _ONLY_AST)
    except SyntaxError:  # lines were counted otherwise
        tree = _ast.AST()
    return tree


def _nodes(tree: _ast.AST) -> Iterator[_ast.AST]:
    rest: list[object] = [tree]
    while rest:
        node = rest.pop()
        if isinstance(node, list):
            rest += node
        elif isinstance(node, _ast.AST):
            rest += [getattr(node, name, None) for name in node._fields]
            yield node


def _is_by_identity(node: _ast.AST) -> bool:
    if not isinstance(node, _ast.Compare):
        return False
    operands = [node.left, *node.comparators]
    pairs = zip(node.ops, operands, operands[1:], strict=False)
    return any(
        isinstance(operator, (_ast.Is, _ast.IsNot))
        and not (_is_unique(left) or _is_unique(right))
        for operator, left, right in pairs
    )


def _is_unique(operand: _ast.expr) -> bool:
    """Whether it is one of the values that are the same object everywhere; classes go
    by how they are named, such as ``Foo``."""
    if isinstance(operand, _ast.Constant):
        return operand.value is None or isinstance(operand.value, (bool, EllipsisType))
    if isinstance(operand, _ast.Call):
        return isinstance(operand.func, _ast.Name) and operand.func.id == "type"
    if isinstance(operand, _ast.Attribute):
        return operand.attr == "__class__" or _names_class(operand.attr)
    if isinstance(operand, _ast.Name):
        name = operand.id
        return name == "NotImplemented" or name in _CLASSES or _names_class(name)
    return False


def _names_class(name: str) -> bool:
    first, second = name.lstrip("_")[:1], name.lstrip("_")[1:2]
    return first.isupper() and second.islower()
