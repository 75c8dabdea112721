"""Whole modules: every kernel for every choice of types, once and for all."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice, product

from tiledsl import ir
from tiledsl.check.elaborate import check_constants, elaborate
from tiledsl.check.items import check_items
from tiledsl.check.modules import Module
from tiledsl.check.prove import prove
from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType

_MOST_BINDINGS = 256


def check_module(module: Module) -> list[Diagnostic]:
    """Return all that is wrong with the kernels, ops, references, schedules and tests of a file.

    Warnings are among them. Each mistake stands there once, though many types may show it.
    """
    found = _Findings()
    for diagnostic in check_constants(module):
        found.add(diagnostic)
    for name in module.own:
        _check_kernel(module, name, found)
    for diagnostic in check_items(module):
        found.add(diagnostic)
    return found.in_order()


def instantiate(module: Module, name: str, binding: ir.Binding) -> ir.Kernel | ir.OpGraph:
    """Return kernel or op ``name`` for ``binding``, proved; raise `CompileError`."""
    whole, diagnostics = elaborate(module, name, binding)
    _raise(diagnostics)
    match whole:
        case ir.Kernel():
            return _proved(whole)
        case ir.OpGraph(steps=steps):
            done: dict[int, ir.Kernel] = {}
            for step in steps:
                if id(step.kernel) not in done:
                    done[id(step.kernel)] = _proved(step.kernel)
            proved = tuple(replace(s, kernel=done[id(s.kernel)]) for s in steps)
            return replace(whole, steps=proved)


def _proved(kernel: ir.Kernel) -> ir.Kernel:
    proved, diagnostics = prove(kernel)
    _raise(diagnostics)
    return proved


def _raise(diagnostics: list[Diagnostic]) -> None:
    if any(d.severity == "error" for d in diagnostics):
        found = _Findings()
        for diagnostic in diagnostics:
            found.add(diagnostic)
        raise CompileError([d for d in found.in_order() if d.severity == "error"])


class _Findings:
    """Diagnostics, one for each kind and place."""

    def __init__(self) -> None:
        self.first: dict[tuple[type[Diagnostic], Span], Diagnostic] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        self.first.setdefault((type(diagnostic), diagnostic.span), diagnostic)

    def in_order(self) -> list[Diagnostic]:
        return sorted(self.first.values(), key=lambda d: (d.span.source.name, d.span.start, d.code))


def _check_kernel(module: Module, name: str, found: _Findings) -> None:
    definition = module.kernels.get(name) or module.ops[name]
    item = definition.item
    types = list(_types(item))
    for at, (variant, chosen) in enumerate(_bindings(types, list(_variants(item)))):
        whole, diagnostics = elaborate(module, name, replace(variant, types=chosen))
        for diagnostic in diagnostics:
            found.add(diagnostic)
        sound = not any(d.severity == "error" for d in diagnostics)
        if sound and isinstance(whole, ir.Kernel) and (at == 0 or chosen == types[0]):
            for diagnostic in prove(whole)[1]:
                found.add(diagnostic)


_Types = tuple[tuple[str, DType], ...]


def _bindings(
    types: list[_Types], variants: list[ir.Binding]
) -> Iterator[tuple[ir.Binding, _Types]]:
    """Yield each variant with each choice of types; where that is too many, each with some."""
    if len(types) * len(variants) <= _MOST_BINDINGS:
        yield from product(variants, types)
        return
    longest = max(len(types), len(variants))
    pairs = zip(cycle(variants), cycle(types), strict=False)
    yield from islice(pairs, min(longest, _MOST_BINDINGS))


def _types(item: tree.Kernel | tree.Op) -> Iterator[_Types]:
    """Yield the choices of element types; at most as many as are checked."""
    choices = [
        [(g.name.id, DTYPES[c.id]) for c in g.choices if c.id in DTYPES] for g in item.generics
    ]
    yield from islice(product(*choices), _MOST_BINDINGS)


def _variants(item: tree.Kernel | tree.Op) -> Iterator[ir.Binding]:
    """Yield the values of ``const`` flags, and which optional parameters are left out."""
    flags = [p.name.id for p in item.params if p.kind == "const" and p.type.name.id == "bool"]
    optional = [
        p.name.id
        for p in item.params
        if isinstance(p.default, tree.Name) and p.default.id == "none" and p.type.dims is not None
    ]
    choices = product(
        product((True, False), repeat=len(flags)), product((False, True), repeat=len(optional))
    )
    for values, absent in islice(choices, _MOST_BINDINGS):
        consts = tuple(zip(flags, values, strict=True))
        gone = frozenset(n for n, out in zip(optional, absent, strict=True) if out)
        yield ir.Binding(consts=consts, absent=gone)
