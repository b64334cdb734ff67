"""A row's functions again, in one precision.

A row is written with Python's numbers, which Numba takes for float64 and int64: with a float32 t
everything would be computed, slowly, in float64. So its source is read, each number in it is turned
into one of the wanted precision, and each of NumPy's functions into libdevice's. sin and cos become
sin π and cos π, since the ordinary ones keep a table in local memory for huge arguments.
"""

from __future__ import annotations

import ast
import linecache
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from stn_ref.backends.cuda.device import NAMES, device, function

PLAIN = (int, float, np.integer, np.floating)


def lowered(row: Callable[..., Any], number: type[Any]) -> Any:
    """The function with its numbers and NumPy's functions in one precision.

    A function whose source is nowhere (typed into Python's prompt) stays as it is: right, but
    computed in float64.
    """
    if not isinstance(row, FunctionType) or row.__defaults__ or row.__kwdefaults__:
        return row
    node = _definition(row.__code__)
    if node is None:
        return row
    cells = [c.cell_contents for c in row.__closure__ or ()]
    names = {**row.__globals__, **dict(zip(row.__code__.co_freevars, cells, strict=True))}
    body = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else node.body
    lowering = _Lowering(names, set(row.__code__.co_varnames), number)
    module = ast.parse("def row(): pass")
    again: Any = module.body[0]
    again.body = [lowering.visit(statement) for statement in deepcopy(body)]
    again.args = deepcopy(node.args)
    for argument in (*again.args.posonlyargs, *again.args.args):
        argument.annotation = None
    ast.fix_missing_locations(module)
    names |= lowering.names
    exec(compile(module, row.__code__.co_filename, "exec"), names)
    return names["row"]


class _Lowering(ast.NodeTransformer):
    """Numbers, names of numbers, and functions, but for indices, exponents and ranges."""

    def __init__(self, scope: dict[str, Any], own: set[str], number: type[Any]) -> None:
        self.scope, self.own, self.number = scope, own, number
        self.names: dict[str, Any] = {}

    def bound(self, value: Any) -> ast.expr:
        """A new name for this value."""
        name = f"_{len(self.names)}_"
        self.names[name] = value
        return ast.Name(name, ast.Load())

    def value(self, node: ast.AST) -> Any:
        """What a global name, or an attribute of one, stands for; None if it is neither."""
        if isinstance(node, ast.Name) and node.id not in self.own:
            return self.scope.get(node.id)
        if isinstance(node, ast.Attribute):
            return getattr(self.value(node.value), node.attr, None)
        return None

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, bool) or not isinstance(node.value, PLAIN):
            return node
        return self.bound(self.number(node.value))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.value(node)
        if isinstance(value, PLAIN) and not isinstance(value, bool):
            return self.bound(self.number(value))
        return node

    visit_Attribute = visit_Name  # type: ignore[assignment]

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        node.value = self.visit(node.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left = self.visit(node.left)
        if not isinstance(node.op, ast.Pow):
            node.right = self.visit(node.right)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        called = self.value(node.func)
        if called is None and getattr(node.func, "id", "") == "range":
            return node
        if called in (np.sin, np.cos, math.sin, math.cos):
            node.args = [self.visit(_over_pi(node.args[0], self))]
            return self.apply("sinpi" if called in (np.sin, math.sin) else "cospi", node)
        node.args = [self.visit(argument) for argument in node.args]
        if isinstance(called, FunctionType):
            node.func = self.bound(device(lowered(called, self.number)))
        elif isinstance(called, np.ufunc) and called.__name__ in NAMES:
            return self.apply(called.__name__, node)
        return node

    def apply(self, name: str, node: ast.Call) -> ast.expr:
        node.func = self.bound(function(name, self.number))
        return node


def _over_pi(node: ast.expr, lowering: _Lowering) -> ast.expr:
    """The expression divided by π: without it, if it is its first factor."""
    first, parent = node, None
    while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Mult | ast.Div):
        parent, first = first, first.left
    if parent is None or lowering.value(first) != math.pi:
        return ast.BinOp(node, ast.Mult(), ast.Constant(1 / math.pi))
    if isinstance(parent.op, ast.Mult):
        if parent is node:
            return parent.right
        above = node
        while above.left is not parent:  # type: ignore[attr-defined]
            above = above.left  # type: ignore[attr-defined]
        above.left = parent.right  # type: ignore[attr-defined]
    else:
        parent.left = ast.Constant(1)
    return node


def _definition(code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    """The node that a code object was compiled from, found by its place in its file."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body = node.body.lineno, node.body.col_offset
            if body == min(_places(code), default=None):
                return node
    return None


def _places(code: CodeType) -> Iterator[tuple[int, int]]:
    """Where in its file each instruction comes from."""
    for line, end, column, end_column in code.co_positions():
        if line is not None and column is not None and (line, column) != (end, end_column):
            yield line, column
