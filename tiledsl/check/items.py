"""References, functions, schedules and tests: every name in them means something."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tiledsl import chips
from tiledsl.check.errors import Finding, UnknownFunction, UnknownName
from tiledsl.check.item_errors import (
    BadDirective,
    BadTileSize,
    CaseShape,
    FreeIndex,
    NotInKernel,
    NotStated,
    UnknownInputs,
    UnknownTarget,
)
from tiledsl.check.modules import Module
from tiledsl.check.names import BUILT_IN_FUNCTIONS, RESERVED_VALUES, TYPE_NAMES
from tiledsl.diagnostics import Diagnostic
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk

INPUTS = ("normal", "uniform", "integers", "arange", "permutation", "segments", "file")


def check_items(module: Module) -> list[Diagnostic]:
    """Return what is wrong with the names in references, schedules and tests."""
    found: list[Diagnostic] = []
    for item in module.file.items:
        match item:
            case tree.Reference(name=name):
                header = _header(module, name.id)
                if header is not None:
                    found += _reference(module, header, item)
            case tree.Fn():
                found += _function(module, item)
            case tree.Schedule(name=name):
                if name.id in module.kernels:
                    kernel = module.kernels[name.id]
                    beside = module.schedules.get(name.id, ())
                    found += _schedule(_parts(kernel.module, kernel.item), item, beside)
                found += _target(item)
            case tree.Test(name=name):
                header = _header(module, name.id)
                if header is not None:
                    found += _test(header, item)
            case _:
                pass
    return found


def _header(module: Module, name: str) -> tree.Kernel | tree.Op | None:
    definition = module.kernels.get(name) or module.ops.get(name)
    return definition.item if definition is not None else None


def _dims(item: tree.Kernel | tree.Op) -> tuple[str, ...]:
    """Return the names in the shapes of parameters and outputs that are no parameters."""
    params = {p.name.id for p in item.params}
    sizes = [d for p in (*item.params, *item.outputs) for d in p.type.dims or ()]
    names = (n.id for n in walk(tuple(sizes)) if isinstance(n, tree.Name))
    return tuple(dict.fromkeys(n for n in names if n not in params and n not in BUILT_IN_FUNCTIONS))


# ---- references and functions -------------------------------------------------------------------


def _reference(
    module: Module, item: tree.Kernel | tree.Op, reference: tree.Reference
) -> list[Finding]:
    types = {g.name.id for g in item.generics}
    names = _Names(module, types)
    names.known |= {p.name.id for p in (*item.params, *item.outputs)}
    names.known |= {*_dims(item), *types}
    names.known |= _free_indices(item, reference.body, names.known, names.found)
    names.body(reference.body)
    stored = {n.tensor.id for n in walk(reference.body) if isinstance(n, tree.Store)}
    missing = tuple(o.name.id for o in item.outputs if o.name.id not in stored)
    if missing:
        names.found.append(NotStated(reference.name.span, reference.name.id, missing))
    return names.found


def _function(module: Module, fn: tree.Fn) -> list[Finding]:
    """Return the unknown names in a function, which no kernel may ever call."""
    names = _Names(module, set())
    names.known |= {p.id for p in fn.params}
    if isinstance(fn.body, tuple):
        names.body(fn.body)
    else:
        names.expression(fn.body)
    return names.found


def _free_indices(
    item: tree.Kernel | tree.Op, body: tuple[tree.Stmt, ...], known: set[str], found: list[Finding]
) -> set[str]:
    """Return the names that index a dim bare; report those that index two."""
    shapes = {p.name.id: p.type.dims or () for p in (*item.params, *item.outputs)}
    left: dict[str, list[tuple[tree.Name, tree.Node]]] = {}
    right: dict[str, list[tuple[tree.Name, tree.Node]]] = {}
    declared: set[str] = set()
    indices_found: set[str] = set()
    for node in walk(body):
        match node:
            case tree.Store(tensor=tree.Name(id=name), indices=indices):
                uses = left
            case tree.Index(base=tree.Name(id=name), indices=indices):
                uses = right
            case tree.Range(name=range_name):
                declared.add(range_name.id)
                continue
            case tree.Over(name=over, domain=domain) if domain is not None:
                declared.add(over.id)
                continue
            case tree.Bind(names=names):
                declared.update(n.id for n in names)
                continue
            case _:
                continue
        for index, size in zip(indices, shapes.get(name, ()), strict=False):
            if isinstance(index, tree.Name) and index.id not in known:
                uses.setdefault(index.id, []).append((index, size))
    for index_name in {**left, **right}:
        if index_name in declared:
            continue
        places = left.get(index_name) or right[index_name]
        sizes = list(dict.fromkeys(size.span.text for _, size in places))
        kinds = {_plain(size) for _, size in places}
        if len(kinds) > 1:
            first = next(i for i, size in places if _plain(size) != _plain(places[0][1]))
            found.append(FreeIndex(first.span, index_name, tuple(sizes)))
        indices_found.add(index_name)
    return indices_found


class _Names:
    """The names that mean something so far in a body, and those that do not."""

    def __init__(self, module: Module, types: set[str]) -> None:
        self.module = module
        self.types = types
        self.known: set[str] = {*module.consts, *RESERVED_VALUES, *TYPE_NAMES}
        self.found: list[Finding] = []

    def body(self, nodes: tuple[tree.Stmt, ...]) -> None:
        for node in nodes:
            self.statement(node)

    def statement(self, node: tree.Stmt) -> None:
        match node:
            case tree.Bind(names=names, value=value):
                self.expression(value)
                self.known |= {n.id for n in names}
            case tree.Var(name=name, value=value):
                self.expression(value)
                self.known.add(name.id)
            case tree.SpanStmt(ranges=ranges) | tree.Grid(ranges=ranges):
                for part in ranges:
                    self.expression(part.domain)
                    self.known.add(part.name.id)
            case tree.For(range=part, body=body):
                self.expression(part.domain)
                self.known.add(part.name.id)
                self.body(body)
            case tree.If(arms=arms, orelse=orelse):
                for condition, arm in arms:
                    self.expression(condition)
                    self.body(arm)
                self.body(orelse)
            case _:
                self.expression(node)

    def expression(self, node: object) -> None:
        """Report unknown names inside; ``over i in D`` brings one for the inside of its call."""
        match node:
            case tree.Name(id=name):
                if name not in self.known:
                    self.known.add(name)  # said once
                    self.found.append(UnknownName(node.span, name, tuple(self.known - {name})))
            case tree.Call(function=function, args=args, over=over, into=into):
                known = (*self.module.fns, *BUILT_IN_FUNCTIONS, *TYPE_NAMES)
                if function.id not in known and function.id not in self.types:
                    self.found.append(UnknownFunction(function.span, function.id, known))
                for part in over:
                    if part.domain is not None:
                        self.expression(part.domain)
                declared = {p.name.id for p in over if p.domain is not None} - self.known
                self.known |= declared
                for part in over:
                    self.expression(part.name)
                self.expression(args)
                self.known -= declared
                if into is not None:
                    self.expression(into)
            case tree.Node():
                for name in node.__dataclass_fields__:
                    if name != "span":
                        self.expression(getattr(node, name))
            case tuple():
                for part in node:
                    self.expression(part)
            case _:
                pass


def _plain(size: tree.Node) -> tree.Node:
    return size.name if isinstance(size, tree.Star) else size


# ---- schedules ----------------------------------------------------------------------------------


@dataclass
class _Parts:
    """What a schedule may name of a kernel."""

    name: str
    sizes: dict[str, None] = field(default_factory=dict)
    grid: dict[str, None] = field(default_factory=dict)
    loops: dict[str, None] = field(default_factory=dict)
    spans: dict[str, None] = field(default_factory=dict)
    values: dict[str, None] = field(default_factory=dict)
    tensors: dict[str, None] = field(default_factory=dict)


def _parts(module: Module, kernel: tree.Kernel) -> _Parts:
    parts = _Parts(kernel.name.id)
    tensors = [p.name.id for p in (*kernel.params, *kernel.outputs) if p.type.dims is not None]
    parts.tensors.update(dict.fromkeys(tensors))
    known = {*_dims(kernel), *(p.name.id for p in kernel.params), *module.consts}
    for node in walk(kernel.body):
        match node:
            case tree.Range(by=tree.Name(id=name)) if name not in known:
                parts.sizes[name] = None
            case tree.Var(name=tree.Name(id=name)):
                parts.values[name] = None
            case tree.Bind(names=names):
                parts.values.update(dict.fromkeys(n.id for n in names))
            case _:
                pass
        match node:
            case tree.Grid(ranges=ranges):
                parts.grid.update(dict.fromkeys(r.name.id for r in ranges))
            case tree.SpanStmt(ranges=ranges):
                parts.spans.update(dict.fromkeys(r.name.id for r in ranges))
            case tree.For(range=part):
                parts.loops[part.name.id] = None
            case _:
                pass
    return parts


def _target(item: tree.Schedule) -> Iterator[Finding]:
    """Report a target that is no chip, nor what the names of several chips begin with."""
    known = chips.names()
    fits = not item.target or any(chip.startswith(item.target) for chip in known)
    if not fits and item.target.split(".")[0] != "cuda":
        at = item.name.span.source.text.index(item.target, item.name.span.end)
        span = Span(item.name.span.source, at, at + len(item.target))
        yield UnknownTarget(span, item.target, (*known, "ascend910b", "cuda.sm80", "cuda.sm90"))


def _schedule(
    parts: _Parts, item: tree.Schedule, beside: tuple[tree.Schedule, ...]
) -> Iterator[Finding]:
    for line in item.directives:
        match line:
            case tree.SetSize(name=name, value=value):
                yield from _among(name, "tile size", parts.name, parts.sizes)
                if not _whole(value):
                    yield BadTileSize(value.span, name.id)
            case tree.Tune(name=name, choices=choices):
                yield from _among(name, "tile size", parts.name, parts.sizes)
                items = choices.items if isinstance(choices, tree.Tuple) else (choices,)
                for choice in items:
                    if not _whole(choice):
                        yield BadTileSize(choice.span, name.id)
            case tree.Directive(word="where", argument=argument) if argument is not None:
                from tiledsl.check.limit_terms import check_limit, served

                sizes = tuple(parts.sizes)
                yield from check_limit(
                    argument, sizes, parts.name, item.target, served(item, beside)
                )
            case tree.Directive(word=word, names=names):
                kind, known = _nameable(parts, word)
                for name in names:
                    yield from _among(name, kind, parts.name, known)
                expected = _expected(line)
                if expected:
                    at = line.argument or line
                    yield BadDirective(at.span, word, expected)


def _expected(line: tree.Directive) -> str:
    """Return what a directive takes that it has not been given."""
    match line:
        case tree.Directive(word="split", argument=tree.Name(id="vector"), step=None):
            return ""
        case tree.Directive(word="split", argument=tree.Name(id="l0"), step=step):
            return "" if step is not None and _whole(step) else "a step: `split k over l0 by 64`"
        case tree.Directive(word="split"):
            return "`vector`, or `l0` by a step"
        case tree.Directive(word="place", argument=tree.Name(id=place)):
            return "" if place in ("l0c", "l1", "ub", "gm") else "`l0c`, `l1`, `ub` or `gm`"
        case tree.Directive(word="warps", argument=argument):
            fits = isinstance(argument, tree.Number) and argument.value in (1, 2, 4, 8, 16, 32)
            return "" if fits else "a power of two up to 32"
        case tree.Directive(word="skew", argument=argument):
            fits = isinstance(argument, tree.Number) and argument.value in range(15)
            return "" if fits else "a whole number from 0 to 14"
        case tree.Directive(word="unroll" | "bypass", argument=None):
            return ""
        case tree.Directive(argument=argument):
            return "" if argument is not None and _whole(argument) else "a whole number, at least 1"


def _nameable(parts: _Parts, word: str) -> tuple[str, dict[str, None]]:
    match word:
        case "swizzle":
            return "grid range", parts.grid
        case "bypass":
            return "tensor", parts.tensors
        case "unroll" | "skew":
            return "loop", parts.loops
        case "place":
            return "value", parts.values
        case _:
            return "range", {**parts.grid, **parts.loops, **parts.spans}


def _whole(value: tree.Expr) -> bool:
    return isinstance(value, tree.Number) and isinstance(value.value, int) and value.value >= 1


def _among(name: tree.Name, kind: str, kernel: str, known: dict[str, None]) -> Iterator[Finding]:
    if name.id not in known:
        yield NotInKernel(name.span, name.id, kind, kernel, tuple(known))


# ---- tests --------------------------------------------------------------------------------------


def _test(item: tree.Kernel | tree.Op, test: tree.Test) -> Iterator[Finding]:
    types = {g.name.id: g for g in item.generics}
    scalars = [p.name.id for p in item.params if p.type.dims is None]
    inputs = dict.fromkeys(p.name.id for p in item.params)
    cases = dict.fromkeys((*types, *_dims(item), *scalars))
    kind = "type, dim or scalar parameter"
    for line in test.lines:
        match line:
            case tree.Cases(cases=parts):
                for case in parts:
                    for name in case.names:
                        yield from _among(name, kind, item.name.id, cases)
                    yield from _case_values(item, case, types)
            case tree.Given(name=name, value=value):
                yield from _among(name, "input", item.name.id, inputs)
                if isinstance(value, tree.Call) and value.function.id not in INPUTS:
                    yield UnknownInputs(value.function.span, INPUTS)
            case _:
                pass


def _case_values(
    item: tree.Kernel | tree.Op, case: tree.Case, types: dict[str, tree.Generic]
) -> Iterator[Finding]:
    values = case.values.items if isinstance(case.values, tree.Tuple) else (case.values,)
    width = len(case.names)
    if width > 1 and not any(isinstance(v, tree.Tuple) for v in values):
        values = (case.values,)  # one row: `((1, 2))` is a pair
    for value in values:
        row = value.items if isinstance(value, tree.Tuple) and width > 1 else (value,)
        if len(row) != width or any(isinstance(v, tree.Tuple) for v in row):
            yield CaseShape(value.span, width)
            continue
        for name, entry in zip(case.names, row, strict=True):
            generic = types.get(name.id)
            if generic is None:
                continue
            choices = {c.id: None for c in generic.choices}
            word = entry if isinstance(entry, tree.Name) else tree.Name(entry.span, entry.span.text)
            yield from _among(word, f"choice of `{name.id}`", item.name.id, choices)
