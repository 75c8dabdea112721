"""The syntax tree from the parts of a rule: one function for each rule of the grammar."""

import math
import re
from collections.abc import Callable
from typing import Any, Literal

from tiledsl.diagnostics import Report
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.syntax.errors import BadNumber, BadString, TooMuch

MAX_DIGITS = 400

_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
_ESCAPE = re.compile(r"\\.")


def number(span: Span, report: Report) -> tree.Number:
    """Return the value of a number, or report why there is none."""
    text = span.text
    value: int | float = 0
    if len(text) > MAX_DIGITS:
        report.add(TooMuch(span, "digits of a number", MAX_DIGITS))
    elif text[:2] in ("0x", "0X"):
        value = int(text, 16)
    elif text.replace("_", "").isdigit():
        value = int(text)
    else:
        value = float(text)
    if value >= 2**64 and isinstance(value, int):
        report.add(BadNumber(span, text, "this integer has more than 64 bits"))
    elif math.isinf(value):
        report.add(BadNumber(span, text, "this number is too large for an f64"))
    return tree.Number(span, value)


def string(span: Span, report: Report) -> tree.String:
    """Return the text of a string, or report an unknown escape."""
    text = span.text[1:-1]
    if "\\" in text:
        for found in _ESCAPE.finditer(text):
            if found.group() not in _ESCAPES:
                at = span.start + 1 + found.start()
                wrong = Span(span.source, at, at + 2)
                report.add(BadString(wrong, found.group()))
        text = _ESCAPE.sub(lambda found: _ESCAPES.get(found.group(), ""), text)
    return tree.String(span, text)


# ---- items


def _file(span: Span, items: list[tree.Item]) -> tuple[tree.Item, ...]:
    return tuple(items)


def _import(span: Span, path: tree.String | str, alias: tree.Name | None) -> tree.Import:
    return tree.Import(span, *_path(path), (), alias)


def _from(
    span: Span, path: tree.String | str, names: list[tuple[tree.Name, tree.Name]]
) -> tree.Import:
    return tree.Import(span, *_path(path), tuple(names), None)


def _path(path: tree.String | str) -> tuple[str, bool]:
    return (path.value, False) if isinstance(path, tree.String) else (path, True)


def _imported(span: Span, name: tree.Name, alias: tree.Name | None) -> tuple[tree.Name, tree.Name]:
    return name, alias or name


def _dotted(span: Span, names: list[tree.Name]) -> str:
    return ".".join(name.id for name in names)


def _const(span: Span, name: tree.Name, type: tree.Type | None, value: tree.Expr) -> tree.Const:
    return tree.Const(span, name, type, value, _doc(span))


def _fn_line(span: Span, name: tree.Name, params: list[tree.Name], body: tree.Expr) -> tree.Fn:
    return tree.Fn(span, name, tuple(params), body, _doc(span))


def _fn_block(
    span: Span, name: tree.Name, params: list[tree.Name], body: list[tree.Stmt]
) -> tree.Fn:
    return tree.Fn(span, name, tuple(params), tuple(body), _doc(span))


def _return(span: Span, values: list[tree.Expr]) -> tree.Return:
    return tree.Return(span, tuple(values))


def _kernel(
    span: Span,
    name: tree.Name,
    generics: list[tree.Generic],
    params: list[tree.Param],
    outputs: list[tree.Param],
    body: list[tree.Stmt],
) -> tree.Kernel:
    return tree.Kernel(
        span, name, tuple(generics), tuple(params), tuple(outputs), tuple(body), _doc(span)
    )


def _op(
    span: Span,
    name: tree.Name,
    generics: list[tree.Generic],
    params: list[tree.Param],
    outputs: list[tree.Param],
    body: list[tree.Stmt],
) -> tree.Op:
    return tree.Op(
        span, name, tuple(generics), tuple(params), tuple(outputs), tuple(body), _doc(span)
    )


def _doc(span: Span) -> str:
    """Return the comment block that ends in the line above an item."""
    text, lines = span.source.text, []
    end = text.rfind("\n", 0, span.start)
    while end > 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end].rstrip().removeprefix("\ufeff")
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
        end = start - 1
    return "\n".join(reversed(lines))


def _generic(span: Span, name: tree.Name, choices: list[tree.Name]) -> tree.Generic:
    return tree.Generic(span, name, tuple(choices))


def _param(
    span: Span,
    kind: Literal["inout", "const"] | None,
    name: tree.Name,
    colon: str,
    type: tree.Type,
    equals: str | None,
    default: tree.Expr | None,
) -> tree.Param:
    return tree.Param(span, kind or "", name, type, default)


def _dims(span: Span, dims: list[tree.Expr | tree.Star]) -> tuple[tree.Expr | tree.Star, ...]:
    return tuple(dims)


def _reference(span: Span, name: tree.Name, body: tuple[tree.Stmt, ...]) -> tree.Reference:
    return tree.Reference(span, name, body)


# ---- statements


def _block(span: Span, stmts: list[tree.Stmt]) -> tuple[tree.Stmt, ...]:
    return tuple(stmts)


def _where(span: Span, facts: list[tree.Expr]) -> tree.Where:
    return tree.Where(span, tuple(facts))


def _grid(span: Span, ranges: list[tree.Range]) -> tree.Grid:
    return tree.Grid(span, tuple(ranges))


def _span(span: Span, ranges: list[tree.Range]) -> tree.SpanStmt:
    return tree.SpanStmt(span, tuple(ranges))


def _bind(span: Span, name: tree.Name, value: tree.Expr) -> tree.Bind:
    return tree.Bind(span, (name,), None, value)


def _annotated(span: Span, name: tree.Name, type: tree.Type, value: tree.Expr) -> tree.Bind:
    return tree.Bind(span, (name,), type, value)


def _unpack(span: Span, names: list[tree.Name], value: tree.Expr) -> tree.Bind:
    return tree.Bind(span, tuple(names), None, value)


def _augment(span: Span, name: tree.Name, update: list[str], value: tree.Expr) -> tree.Augment:
    return tree.Augment(span, name, update[0].rstrip("="), value)


def _store(
    span: Span, tensor: tree.Name, indices: list[tree.Expr], skip: str | None, value: tree.Expr
) -> tree.Store:
    return tree.Store(span, "store", tensor, tuple(indices), bool(skip), "", value)


def _disjoint(
    span: Span, tensor: tree.Name, indices: list[tree.Expr], skip: str | None, value: tree.Expr
) -> tree.Store:
    return tree.Store(span, "disjoint", tensor, tuple(indices), bool(skip), "", value)


def _atomic(
    span: Span,
    tensor: tree.Name,
    indices: list[tree.Expr],
    skip: str | None,
    update: list[str],
    value: tree.Expr,
) -> tree.Store:
    op = update[0].rstrip("=")
    return tree.Store(span, "atomic", tensor, tuple(indices), bool(skip), op, value)


def _assert(span: Span, condition: tree.Expr, text: tree.String | None) -> tree.Assert:
    return tree.Assert(span, condition, text.value if text else None)


def _if(
    span: Span,
    condition: tree.Expr,
    then: tuple[tree.Stmt, ...],
    elifs: list[tuple[tree.Expr, tuple[tree.Stmt, ...]]],
    orelse: list[tuple[tree.Stmt, ...]],
) -> tree.If:
    return tree.If(span, ((condition, then), *elifs), orelse[0] if orelse else ())


def _elif(
    span: Span, condition: tree.Expr, then: tuple[tree.Stmt, ...]
) -> tuple[tree.Expr, tuple[tree.Stmt, ...]]:
    return condition, then


def _step(
    span: Span, kernel: tree.Name, args: list[tree.Expr], outputs: list[tree.Name]
) -> tree.Stmt:
    if kernel.id == "print":
        return tree.CallStmt(span, tree.Call(span, kernel, tuple(args)))
    return tree.Step(span, kernel, tuple(args), tuple(outputs))


# ---- expressions


def _conditional(
    span: Span, then: tree.Expr, condition: tree.Expr, other: tree.Expr
) -> tree.Conditional:
    return tree.Conditional(span, condition, then, other)


def _disjunction(span: Span, first: tree.Expr, rest: list[tree.Expr]) -> tree.Logical:
    return tree.Logical(span, "or", (first, *rest))


def _conjunction(span: Span, first: tree.Expr, rest: list[tree.Expr]) -> tree.Logical:
    return tree.Logical(span, "and", (first, *rest))


def _negation(span: Span, operand: tree.Expr) -> tree.Unary:
    return tree.Unary(span, "not", operand)


def _compare(span: Span, first: tree.Expr, rest: list[Any]) -> tree.Compare:
    return tree.Compare(span, first, tuple(zip(rest[::2], rest[1::2], strict=True)))


def _binary(span: Span, left: tree.Expr, op: str, right: tree.Expr) -> tree.Binary:
    return tree.Binary(span, op, left, right)


def _prefix(span: Span, op: Literal["-", "+", "~"], operand: tree.Expr) -> tree.Unary:
    return tree.Unary(span, op, operand)


def _at(
    span: Span,
    base: tree.Expr,
    indices: list[tree.Expr | tree.Slice],
    default: tree.Expr | None,
) -> tree.Index:
    return tree.Index(span, base, tuple(indices), default)


def _attribute(span: Span, base: tree.Expr, name: tree.Name) -> tree.Attribute:
    return tree.Attribute(span, base, name.id)


def _tuple(span: Span, first: tree.Expr, rest: list[tree.Expr]) -> tree.Tuple:
    return tree.Tuple(span, (first, *rest))


def _list(span: Span, items: list[tree.Expr]) -> tree.List:
    return tree.List(span, tuple(items))


def _call(
    span: Span,
    function: tree.Name,
    args: list[tree.Expr | tree.Becomes],
    over: list[tree.Over],
    into: tree.Name | None,
) -> tree.Call:
    return tree.Call(span, function, tuple(args), tuple(over), into)


def _where_call(
    span: Span,
    args: list[tree.Expr | tree.Becomes],
    over: list[tree.Over],
    into: tree.Name | None,
) -> tree.Call:
    word = Span(span.source, span.start, span.start + len("where"))
    return tree.Call(span, tree.Name(word, "where"), tuple(args), tuple(over), into)


# ---- schedules and tests

Lines = list[tree.SetSize | tree.Tune | tree.Directive]


def _schedule(
    span: Span, name: tree.Name, target: str | None, directives: list[Lines]
) -> tree.Schedule:
    lines = tuple(line for lines in directives for line in lines)
    return tree.Schedule(span, name, target or "", lines)


def _lines(span: Span, *parts: Any) -> Lines:
    lines: Lines = parts[-1]
    return lines


def _limits(span: Span, word: str, facts: list[tree.Expr]) -> Lines:
    return [tree.Directive(fact.span, word, (), fact) for fact in facts]


def _named(
    span: Span, word: str, name: tree.Name, link: str | None, argument: tree.Expr | None
) -> Lines:
    return [tree.Directive(span, word, (name,), argument)]


def _split(
    span: Span, word: str, name: tree.Name, over: str, place: tree.Name,
    by: str | None = None, step: tree.Expr | None = None,
) -> Lines:  # fmt: skip
    return [tree.Directive(span, word, (name,), place, step)]


def _swizzle(
    span: Span, word: str, names: list[tree.Name], link: str, argument: tree.Expr
) -> Lines:
    return [tree.Directive(span, word, tuple(names), argument)]


def _bypass(span: Span, word: str, names: list[tree.Name]) -> Lines:
    return [tree.Directive(span, word, tuple(names), None)]


def _amount(span: Span, word: str, argument: tree.Expr) -> Lines:
    return [tree.Directive(span, word, (), argument)]


def _test(span: Span, name: tree.Name, lines: list[Any]) -> tree.Test:
    return tree.Test(span, name, tuple(lines))


def _cases(span: Span, cases: list[tree.Case]) -> tree.Cases:
    return tree.Cases(span, tuple(cases))


def _case(span: Span, name: tree.Name, values: tree.Expr) -> tree.Case:
    return tree.Case(span, (name,), values)


def _joint_case(span: Span, names: list[tree.Name], values: tree.Expr) -> tree.Case:
    return tree.Case(span, tuple(names), values)


def _tolerance(span: Span, relative: tree.Expr, absolute: tree.Expr | None) -> tree.Tolerance:
    return tree.Tolerance(span, (relative,) if absolute is None else (relative, absolute))


def _cycles(span: Span, word: str, op: str, limit: tree.Expr, on: str, target: str) -> tree.Cycles:
    return tree.Cycles(span, op, limit, target)


def _fails(span: Span, text: tree.String) -> tree.Fails:
    return tree.Fails(span, text.value)


# The rules of the grammar; those whose parts are the fields of a node name the node.
ACTIONS: dict[str, Callable[..., Any]] = {
    "file": _file,
    "import_": _import,
    "from_": _from,
    "imported": _imported,
    "dotted": _dotted,
    "const": _const,
    "fn_line": _fn_line,
    "fn_block": _fn_block,
    "return_": _return,
    "kernel": _kernel,
    "op": _op,
    "generic": _generic,
    "param": _param,
    "type": tree.Type,
    "dims": _dims,
    "star": tree.Star,
    "reference": _reference,
    "block": _block,
    "where_": _where,
    "grid": _grid,
    "span": _span,
    "range": tree.Range,
    "between": tree.Between,
    "var": tree.Var,
    "bind": _bind,
    "annotated": _annotated,
    "unpack": _unpack,
    "augment": _augment,
    "store": _store,
    "disjoint": _disjoint,
    "atomic": _atomic,
    "call_stmt": tree.CallStmt,
    "assert_": _assert,
    "for_": tree.For,
    "if_": _if,
    "elif_": _elif,
    "temp": tree.Temp,
    "step": _step,
    "conditional": _conditional,
    "disjunction": _disjunction,
    "conjunction": _conjunction,
    "negation": _negation,
    "compare": _compare,
    "binary": _binary,
    "prefix": _prefix,
    "at": _at,
    "attribute": _attribute,
    "slice": tree.Slice,
    "tuple": _tuple,
    "list": _list,
    "call": _call,
    "where_call": _where_call,
    "becomes": tree.Becomes,
    "over": tree.Over,
    "schedule": _schedule,
    "lines": _lines,
    "limits": _limits,
    "named": _named,
    "split": _split,
    "swizzle": _swizzle,
    "bypass": _bypass,
    "amount": _amount,
    "size": tree.SetSize,
    "tune": tree.Tune,
    "test": _test,
    "cases": _cases,
    "case": _case,
    "joint_case": _joint_case,
    "given": tree.Given,
    "tolerance": _tolerance,
    "exact": tree.Exact,
    "cycles": _cycles,
    "fails": _fails,
}
