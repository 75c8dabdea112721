"""Dims from the shapes of tensors, with sizes that may be symbols of `torch.compile`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from tiledsl import scalar as sc
from tiledsl.ir import Kernel, OpGraph, ScalarParam, Tensor
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number, Unknown
from tiledsl.runtime.launch import expected, linear

Size: TypeAlias = int | torch.SymInt
_LEAST: Any = torch.sym_min
_GREATEST: Any = torch.sym_max
Value: TypeAlias = Any  # a number, or a symbol that behaves as one


@dataclass(slots=True)
class Sizes:
    """Each dim's size, the values of the parameters, and the axes that a star dim came with."""

    graph: Kernel | OpGraph
    dims: dict[str, Size] = field(default_factory=dict)
    scalars: dict[str, Value] = field(default_factory=dict)
    axes: dict[str, tuple[Size, ...]] = field(default_factory=dict)

    def value(self, scalar: sc.Scalar) -> Value:
        """Return ``scalar``, a symbol where it rests on one; raise `Unknown` for a missing dim."""
        match scalar:
            case sc.Literal(value=value):
                return value
            case sc.Dim(name=name) if name in self.dims:
                return self.dims[name]
            case sc.ParamValue(name=name) if name in self.scalars:
                return self.scalars[name]
            case sc.Dim(name=name) | sc.ParamValue(name=name):
                raise Unknown(name)
            case sc.Apply(op=op, args=args):
                return _apply(op, [self.value(a) for a in args], scalar)
            case _:
                raise AssertionError(f"{sc.show(scalar)} is not known at launch")

    def shape(self, tensor: Tensor) -> list[Size]:
        """Return the axes of an output, or of a temporary of an op."""
        found: list[Size] = []
        for scalar, star in zip(tensor.shape, _stars(tensor), strict=True):
            if star and isinstance(scalar, sc.Dim) and scalar.name in self.axes:
                found += self.axes[scalar.name]
            else:
                found.append(_size(self.value(scalar)))
        return found


def solve(
    graph: Kernel | OpGraph,
    tensors: Mapping[str, torch.Tensor],
    scalars: Mapping[str, Value],
    pinned: Mapping[str, int],
) -> Sizes:
    """Return the sizes for these arguments; raise `ArgumentError` where they do not agree.

    An axis such as ``2 * N + 1`` fixes a symbol to its present value: it must be divided.
    """
    sizes = Sizes(graph, dict(pinned), _scalars(graph, scalars))
    pending = list(_equations(sizes, tensors))
    while pending:
        left = [equation for equation in pending if not _try(sizes, *equation)]
        if len(left) == len(pending) and not _defined(sizes):
            break
        pending = left
    while _defined(sizes):
        pass
    missing = [d for d in graph.dims if d not in sizes.dims]
    if missing:
        raise ArgumentError(
            f"{graph.name}: no argument shows the dim {missing[0]}: "
            f"give dims={{'{missing[0]}': …}} to register"
        )
    for equation in pending:
        _try(sizes, *equation)
    return sizes


def _scalars(graph: Kernel | OpGraph, given: Mapping[str, Value]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for param in graph.params:
        if isinstance(param, ScalarParam):
            value = given.get(param.name, param.default)
            assert value is not None, param.name
            found[param.name] = value
    return found


def _equations(
    sizes: Sizes, tensors: Mapping[str, torch.Tensor]
) -> Iterator[tuple[Tensor, sc.Scalar, Size]]:
    """Yield a tensor, one of its dims, and the size that this has."""
    for tensor in (*sizes.graph.params, *sizes.graph.outputs):
        if not isinstance(tensor, Tensor) or tensor.name not in tensors:
            continue
        shape = tuple(tensors[tensor.name].shape)
        stars = _stars(tensor)
        extra = len(shape) - (len(stars) - sum(stars))
        if extra < 0 or (extra and not any(stars)):
            raise ArgumentError(
                f"{tensor.name}: expected {expected(tensor)}, got {len(shape)} axes"
            )
        at = 0
        for scalar, star in zip(tensor.shape, stars, strict=True):
            group = shape[at : at + (extra if star else 1)]
            at += len(group)
            if star and isinstance(scalar, sc.Dim):
                before = sizes.axes.setdefault(scalar.name, group)
                if len(before) != len(group):
                    raise ArgumentError(
                        f"{tensor.name}: *{scalar.name} stands for {len(before)} axes, "
                        f"and for {len(group)} here"
                    )
            yield tensor, scalar, math.prod(group)


def _try(sizes: Sizes, tensor: Tensor, scalar: sc.Scalar, size: Size) -> bool:
    """Use the equation if at most one of its dims is unknown; tell whether it is used up."""
    if isinstance(scalar, sc.Dim) and scalar.name not in sizes.dims:
        sizes.dims[scalar.name] = size
        return True
    try:
        known = sizes.value(scalar)
    except Unknown:
        return _divide(sizes, tensor, scalar, size)
    if known != size:
        raise ArgumentError(
            f"{tensor.name}: expected {expected(tensor)} with {sc.show(scalar)} = {known}, "
            f"got {size}"
        )
    return True


def _divide(sizes: Sizes, tensor: Tensor, scalar: sc.Scalar, size: Size) -> bool:
    form = linear(scalar, lambda part: _number(sizes.value(part)))
    if form is None or form[1] == 0:
        return False
    name, factor, rest = form
    if (int(size) - rest) % factor or (int(size) - rest) // factor < 0:
        raise ArgumentError(f"{tensor.name}: no {name} makes {sc.show(scalar)} = {size}")
    sizes.dims[name] = (int(size) - rest) // factor
    return True


def _defined(sizes: Sizes) -> bool:
    """Take one dim from a fact that defines it; tell whether there was one."""
    for fact in sizes.graph.facts:
        if fact.defines and fact.defines not in sizes.dims and fact.value is not None:
            try:
                sizes.dims[fact.defines] = _size(sizes.value(fact.value))
            except Unknown:
                continue
            return True
    return False


def _apply(op: str, args: list[Value], scalar: sc.Apply) -> Value:
    """Return an op on sizes; only those that sizes are made of."""
    match op, args:
        case "add", [a, b]:
            return a + b
        case "sub", [a, b]:
            return a - b
        case "mul", [a, b]:
            return a * b
        case "neg", [a]:
            return -a
        case "floordiv", [a, b]:
            return a // b if b else 0
        case "mod", [a, b]:
            return a % b if b else a
        case "min", [a, b]:
            return _LEAST(a, b)
        case "max", [a, b]:
            return _GREATEST(a, b)
        case "cast", [a] if scalar.dtype.is_integer:
            return a if isinstance(a, torch.SymInt) else int(a)
        case _:
            folded = sc.apply(op, *(sc.Literal(_number(a)) for a in args), dtype=scalar.dtype)
            if isinstance(folded, sc.Literal):
                return folded.value
            raise ArgumentError(f"a size cannot be {sc.show(scalar)} in PyTorch")


def _number(value: Value) -> Number:
    """Return a plain number; a symbol is fixed to its present value."""
    if isinstance(value, torch.SymInt):
        return int(value)
    if isinstance(value, torch.SymFloat):
        return float(value)
    found: Number = bool(value) if isinstance(value, torch.SymBool) else value
    return found


def _size(value: Value) -> Size:
    return value if isinstance(value, torch.SymInt) else int(value)


def _stars(tensor: Tensor) -> tuple[bool, ...]:
    return tensor.star or (False,) * len(tensor.shape)
