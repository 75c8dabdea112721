"""The cases of a ``test`` item: types, sizes and parameters, and what shapes the inputs."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tiledsl.diagnostics import CompileError
from tiledsl.syntax import tree
from tiledsl.testing.errors import BadTest
from tiledsl.types import DTYPES

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a test: a value for each name after ``for``; types are their spelling."""

    values: tuple[tuple[str, Value], ...]

    def __str__(self) -> str:
        return " ".join(f"{name}={spelled(value)}" for name, value in self.values)

    def with_value(self, name: str, value: Value) -> "Case":
        """Return the case with another value for one name."""
        return Case(tuple((n, value if n == name else v) for n, v in self.values))


@dataclass(frozen=True, slots=True)
class Limit:
    """``cycles < limit on target``."""

    op: str
    limit: float
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a ``test`` item asks for."""

    name: str
    cases: tuple[Case, ...] = (Case(()),)
    given: tuple[tree.Given, ...] = ()
    tolerance: tuple[float, ...] = ()
    exact: bool = False
    limits: tuple[Limit, ...] = ()
    fails: str = ""


def plan_of(test: tree.Test) -> Plan:
    """Return what ``test`` asks for, its cases in order; several ``for`` lines make one product."""
    plan = Plan(test.name.id)
    parts: list[list[tuple[tuple[str, Value], ...]]] = []
    for line in test.lines:
        match line:
            case tree.Cases(cases=cases):
                parts += [_choices(case) for case in cases]
            case tree.Given():
                plan = replace(plan, given=(*plan.given, line))
            case tree.Tolerance(values=values):
                plan = replace(plan, tolerance=tuple(_number(v) for v in values))
            case tree.Exact():
                plan = replace(plan, exact=True)
            case tree.Cycles(op=op, limit=limit, target=target):
                bound = Limit(op, _number(limit), target)
                plan = replace(plan, limits=(*plan.limits, bound))
            case tree.Fails(text=text):
                plan = replace(plan, fails=text)
    product = itertools.product(*parts)
    return replace(plan, cases=tuple(Case(tuple(itertools.chain(*row))) for row in product))


def spelled(value: Value) -> str:
    """Return ``value`` in the words of the language."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def constant(expr: tree.Expr, names: Mapping[str, int | float | bool]) -> int | float | bool:
    """Return the number that an expression over ``names`` is."""
    match expr:
        case tree.Number(value=value):
            return value
        case tree.Name(id="true" | "false" as word):
            return word == "true"
        case tree.Name(id="inf" | "nan" as word):
            return float(word)
        case tree.Name(id=name) if name in names:
            return names[name]
        case tree.Unary(op="-", operand=operand):
            return -constant(operand, names)
        case tree.Unary(op="+", operand=operand):
            return constant(operand, names)
        case tree.Binary(op=op, left=left, right=right) if op in ("+", "-", "*", "/", "//", "%"):
            return _apply(expr, op, constant(left, names), constant(right, names))
        case _:
            known = f"; the names here are {', '.join(names)}" if names else ""
            raise CompileError([BadTest(expr.span, f"`{expr.span.text}` is no number{known}")])


def _apply(expr: tree.Expr, op: str, a: int | float, b: int | float) -> int | float:
    if op in ("/", "//", "%") and b == 0:
        raise CompileError([BadTest(expr.span, "it divides by 0")])
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return a / b
        case "//":
            return a // b
        case _:
            return a % b


def _choices(case: tree.Case) -> list[tuple[tuple[str, Value], ...]]:
    """Return the rows of one part of a ``for``: names with their values."""
    rows: list[tuple[tuple[str, Value], ...]] = []
    items = _items(case.values)
    if len(case.names) > 1 and not any(isinstance(i, tree.Tuple) for i in items):
        items = (case.values,)  # `((1, 2))` is `(1, 2)`: one row
    for item in items:
        values = _items(item) if len(case.names) > 1 else (item,)
        if len(values) != len(case.names):
            names = ", ".join(n.id for n in case.names)
            raise CompileError([BadTest(item.span, f"{len(values)} values for the names {names}")])
        row = zip(case.names, values, strict=True)
        rows.append(tuple((name.id, _value(value)) for name, value in row))
    return rows


def _items(expr: tree.Expr) -> tuple[tree.Expr, ...]:
    return expr.items if isinstance(expr, tree.Tuple | tree.List) else (expr,)


def _value(expr: tree.Expr) -> Value:
    if isinstance(expr, tree.Name) and expr.id in DTYPES:
        return expr.id
    return constant(expr, {})


def _number(expr: tree.Expr) -> float:
    return float(constant(expr, {}))
