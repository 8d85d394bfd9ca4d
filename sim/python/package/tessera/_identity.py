"""Finds comparisons with ``is`` that may come out differently in another zone.

A field's value is another object, equal to the one before, once its entity has crossed
into another zone. Only None, True, False and the like, and classes, are the same object
wherever one looks.
"""

import ast
import builtins
from types import EllipsisType
from typing import TypeGuard

import _tessera

_CLASSES = {name for name, value in vars(builtins).items() if isinstance(value, type)}


def warn(modules: dict[str, tuple[bool, str]]) -> None:
    """Logs a line for each place in a mode's modules: name to whether it is a package,
    and file. Called when a mode that is only checked has been loaded."""
    for name, (_, file) in modules.items():
        try:
            tree = ast.parse(_tessera._source(name))
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # it says so where it is imported, if it is
        lines = {node.lineno for node in ast.walk(tree) if _is_by_identity(node)}
        for line in sorted(lines):
            _tessera.log(
                30,
                f"{file}:{line}: `is` asks whether it is the same object, which it no "
                f"longer is once the entity has crossed into another zone: compare "
                f"values with == or !=; `is` is for None, True, False and classes",
            )


def _is_by_identity(node: ast.AST) -> TypeGuard[ast.Compare]:
    if not isinstance(node, ast.Compare):
        return False
    operands = [node.left, *node.comparators]
    pairs = zip(node.ops, operands, operands[1:], strict=False)
    return any(
        isinstance(operator, (ast.Is, ast.IsNot))
        and not (_is_unique(left) or _is_unique(right))
        for operator, left, right in pairs
    )


def _is_unique(operand: ast.expr) -> bool:
    """Whether it is one of the values that are the same object everywhere; classes go
    by how they are named, such as ``Foo``."""
    if isinstance(operand, ast.Constant):
        return operand.value is None or isinstance(operand.value, (bool, EllipsisType))
    if isinstance(operand, ast.Call):
        return isinstance(operand.func, ast.Name) and operand.func.id == "type"
    if isinstance(operand, ast.Attribute):
        return operand.attr == "__class__" or _names_class(operand.attr)
    if isinstance(operand, ast.Name):
        name = operand.id
        return name == "NotImplemented" or name in _CLASSES or _names_class(name)
    return False


def _names_class(name: str) -> bool:
    first, second = name.lstrip("_")[:1], name.lstrip("_")[1:2]
    return first.isupper() and second.islower()
