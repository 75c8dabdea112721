"""From a kernel and its arguments to a launch: dims solved, facts checked, outputs allocated."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tiledsl import scalar as sc
from tiledsl.ir import Fact, Kernel, OpGraph, ScalarParam, Tensor
from tiledsl.ops import convert
from tiledsl.ops.registry import Array
from tiledsl.runtime.arrays import as_array, describe, element_type, poison, poisoned
from tiledsl.runtime.binding import did_you_mean, scalar_value
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number, Unknown, evaluate
from tiledsl.types import DType

MAX_DIM = 2**31 - 1


@dataclass(slots=True)
class Launch:
    """All that a device needs to run a kernel once.

    ``arrays`` are contiguous and have one axis a dim: star dims are taken as one. ``outputs`` are
    views of the same memory with the caller's axes. ``copies`` are the caller's arrays that could
    not be worked on in place, with what they receive at the end. ``empty`` are outputs that hold
    whatever was in their memory.
    """

    dims: dict[str, int]
    scalars: dict[str, Number]
    arrays: dict[str, Array]
    outputs: dict[str, Array]
    copies: list[tuple[Array, Array]] = field(default_factory=list)
    empty: dict[str, DType] = field(default_factory=dict)

    def fill(self, but: Collection[str] = ()) -> None:
        """Poison the outputs that are still empty; ``but`` are those of which all is written."""
        for name, dtype in self.empty.items():
            if name not in but:
                poison(self.arrays[name], dtype)
        self.empty.clear()

    def finish(self) -> None:
        """Copy what could not be updated in place back to the caller's arrays."""
        for theirs, ours in self.copies:
            theirs[...] = ours.reshape(theirs.shape)


def prepare(
    kernel: Kernel | OpGraph,
    arguments: Mapping[str, object],
    dims: Mapping[str, int],
    ready: Mapping[str, Array] | None = None,
    *,
    fill: bool = True,
) -> Launch:
    """Return the launch of ``kernel`` on ``arguments``; raise `ArgumentError` where they are wrong.

    ``ready`` are outputs that exist already (those of a step of an op); the others are allocated,
    and poisoned unless ``fill`` is false: `Launch.fill` does it later.
    """
    ready = ready or {}
    inputs = [p for p in kernel.params if isinstance(p, Tensor)]
    given = {t.name: _checked(t, arguments[t.name]) for t in inputs}
    given |= {t.name: _checked(t, ready[t.name]) for t in kernel.outputs if t.name in ready}
    scalars = {p.name: _scalar(p, arguments) for p in kernel.params if isinstance(p, ScalarParam)}
    solver = _Solver(kernel, scalars, given)
    solver.solve(dims)
    launch = Launch(solver.dims, scalars, {}, {})
    for tensor in inputs:
        _take(tensor, given[tensor.name], launch, solver)
    _separate(inputs, launch)
    _check_facts(kernel, solver)
    for tensor in kernel.outputs:
        array = ready.get(tensor.name)
        whole = array if array is not None else solver.allocate(tensor)
        if tensor.initial is not None:
            start = evaluate(tensor.initial, solver.dims, scalars, launch.arrays)
            whole[...] = convert(np.asarray(start), tensor.dtype)
        elif array is None:
            launch.empty[tensor.name] = tensor.dtype
        launch.outputs[tensor.name] = whole
        launch.arrays[tensor.name] = whole.reshape(solver.shape(tensor))
    if fill:
        launch.fill()
    return launch


def allocate(tensor: Tensor, launch: Launch) -> Array:
    """Return a poisoned array for a temporary of an op."""
    shape = [int(evaluate(s, launch.dims, launch.scalars, launch.arrays)) for s in tensor.shape]
    return poisoned(shape, tensor.dtype)


def expected(tensor: Tensor) -> str:
    """Return the type of ``tensor`` in the words of the language: ``f16[*R, N]``."""
    stars = tensor.star or (False,) * len(tensor.shape)
    sizes = ("*" * star + _plain(s) for s, star in zip(tensor.shape, stars, strict=True))
    return f"{tensor.dtype}[{', '.join(sizes)}]"


def _plain(scalar: sc.Scalar) -> str:
    text = sc.show(scalar)
    return text[1:-1] if isinstance(scalar, sc.Apply) and text.startswith("(") else text


def _checked(tensor: Tensor, value: object) -> Array:
    array = as_array(tensor.name, value, expected(tensor))
    if element_type(array) is not tensor.dtype:
        raise ArgumentError(f"{tensor.name}: expected {expected(tensor)}, got {describe(array)}")
    stars = sum(tensor.star)
    rank = len(tensor.shape) - stars
    if array.ndim != rank if not stars else array.ndim < rank:
        many = f"at least {rank}" if stars else str(rank)
        raise ArgumentError(
            f"{tensor.name}: expected {expected(tensor)} ({many} axes), "
            f"got {describe(array)} ({array.ndim})"
        )
    return array


def _scalar(param: ScalarParam, arguments: Mapping[str, object]) -> Number:
    if param.name in arguments:
        return scalar_value(param.name, param.dtype, arguments[param.name])
    assert param.default is not None, param.name
    return scalar_value(param.name, param.dtype, param.default)


def _take(tensor: Tensor, array: Array, launch: Launch, solver: "_Solver") -> None:
    """Bring one argument into the launch, copied only where it must be."""
    flat = np.ascontiguousarray(array).reshape(solver.shape(tensor))
    launch.arrays[tensor.name] = flat
    if tensor.role == "inout":
        if not array.flags.writeable:
            raise ArgumentError(f"{tensor.name}: is updated in place, but the array is read-only")
        if not np.shares_memory(flat, array) and array.size:
            launch.copies.append((array, flat))
        launch.outputs[tensor.name] = array


def _separate(inputs: list[Tensor], launch: Launch) -> None:
    """Copy inputs that share memory with an array that is updated in place."""
    updated = [t for t in inputs if t.role == "inout"]
    for tensor in inputs:
        mine = launch.arrays[tensor.name]
        for other in updated:
            if other is tensor or not np.may_share_memory(mine, launch.arrays[other.name]):
                continue
            if tensor.role == "inout":
                raise ArgumentError(
                    f"{tensor.name}: shares memory with {other.name}; both are updated in place"
                )
            launch.arrays[tensor.name] = mine.copy()


def _check_facts(kernel: Kernel | OpGraph, solver: "_Solver") -> None:
    for fact in kernel.facts:
        try:
            holds = solver.value(fact.condition)
        except Unknown as missing:
            raise ArgumentError(
                f"{kernel.name}: cannot check `{fact.text}`: {missing} is not known"
            ) from None
        if not holds:
            raise ArgumentError(
                f"{kernel.name}: `where {fact.text}` does not hold: {_facts(fact, solver)}"
            )


def _facts(fact: Fact, solver: "_Solver") -> str:
    """Return the numbers that a fact rests on: ``N = 9000``."""
    seen: dict[str, Number] = {}
    for part in sc.walk(fact.condition):
        if isinstance(part, sc.Dim | sc.ParamValue | sc.Element):
            seen[_plain(part)] = solver.value(part)
    return ", ".join(f"{name} = {value}" for name, value in seen.items()) or "it is false"


# ---- dims ---------------------------------------------------------------------------------------


class _Solver:
    """Dims from shapes: one equation a dim of a tensor, solved while one unknown is left in it."""

    def __init__(
        self, kernel: Kernel | OpGraph, scalars: Mapping[str, Number], given: Mapping[str, Array]
    ) -> None:
        self.kernel = kernel
        self.scalars = scalars
        self.given = given
        self.dims: dict[str, int] = {}
        self.source: dict[str, str] = {}
        self.axes: dict[str, tuple[int, ...]] = {}

    def solve(self, dims: Mapping[str, int]) -> None:
        """Find every dim, or raise the `ArgumentError` of the first thing that is wrong."""
        pinned = dict(self.kernel.binding.pinned)
        for name, size in dims.items():
            known = (*self.kernel.dims, *pinned)
            if name not in known:
                raise ArgumentError(
                    f"{self.kernel.name}: dims: has no dim `{name}`{did_you_mean(name, known)}; "
                    f"its dims are {', '.join(known) or 'none'}"
                )
            if name in pinned and pinned[name] != size:
                raise ArgumentError(
                    f"{self.kernel.name}: dims: {name} is pinned to {pinned[name]}, got {size}"
                )
            if not isinstance(size, int | np.integer) or isinstance(size, bool):
                raise ArgumentError(
                    f"{self.kernel.name}: dims: {name}: expected an integer, got {size!r}"
                )
            self._set(name, int(size), f"dims={{'{name}': {size}}}")
        for name, size in pinned.items():
            self._set(name, size, "the build")
        pending = list(self._equations())
        while pending:
            left = [equation for equation in pending if not self._try(*equation)]
            stuck = len(left) == len(pending)
            pending = left
            if stuck and not self._defined():
                break
        while self._defined():
            pass
        missing = [d for d in self.kernel.dims if d not in self.dims]
        if missing:
            self._explain(missing[0])
        for equation in pending:
            self._try(*equation)

    def value(self, scalar: sc.Scalar) -> Number:
        """Return what ``scalar`` is with the dims found so far."""
        return evaluate(scalar, self.dims, self.scalars, self.given)

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the size of each dim of ``tensor``, star dims taken as one."""
        sizes = []
        for scalar in tensor.shape:
            size = int(self.value(scalar))
            if not 0 <= size <= MAX_DIM:
                raise ArgumentError(
                    f"{tensor.name}: {_plain(scalar)} of {expected(tensor)} would be {size}"
                )
            sizes.append(size)
        return tuple(sizes)

    def allocate(self, tensor: Tensor) -> Array:
        """Return an array for an output, with the axes that its star dims came with."""
        axes: list[int] = []
        stars = tensor.star or (False,) * len(tensor.shape)
        for scalar, size, star in zip(tensor.shape, self.shape(tensor), stars, strict=True):
            known = self.axes.get(scalar.name) if star and isinstance(scalar, sc.Dim) else None
            axes += known if known is not None else (size,)
        try:
            return np.empty(axes, tensor.dtype.numpy)
        except (MemoryError, ValueError):
            shape = ", ".join(map(str, axes))
            raise ArgumentError(
                f"{tensor.name}: there is no memory for {tensor.dtype}[{shape}]"
            ) from None

    def _equations(self) -> Iterator[tuple[Tensor, int, int]]:
        """Yield a tensor, the number of one of its dims, and the size that this has."""
        for tensor in self.kernel.params + self.kernel.outputs:
            if not isinstance(tensor, Tensor) or tensor.name not in self.given:
                continue
            shape = self.given[tensor.name].shape
            stars = tensor.star or (False,) * len(tensor.shape)
            extra = len(shape) - (len(tensor.shape) - sum(stars))
            at = 0
            for number, (scalar, star) in enumerate(zip(tensor.shape, stars, strict=True)):
                count = extra if star else 1
                group = shape[at : at + count]
                at += count
                if star and isinstance(scalar, sc.Dim):
                    self._match_axes(tensor, scalar.name, group)
                yield tensor, number, int(np.prod(group, dtype=object))

    def _match_axes(self, tensor: Tensor, name: str, group: tuple[int, ...]) -> None:
        before = self.axes.setdefault(name, group)
        if before != group:
            raise ArgumentError(
                f"{tensor.name}: expected {expected(tensor)} with *{name} = {_axes(before)} "
                f"(from {self.source.get(name, 'an argument before')}), "
                f"got {describe(self.given[tensor.name])}"
            )

    def _try(self, tensor: Tensor, number: int, size: int) -> bool:
        """Use the equation if at most one of its dims is unknown; tell whether it is used up."""
        scalar = tensor.shape[number]
        form = linear(scalar, self.value)
        if form is None:
            return False
        name, factor, rest = form
        if not name:
            if rest != size:
                self._disagree(tensor, number, size, rest)
            return True
        if factor == 0:
            return False
        if (size - rest) % factor or (size - rest) // factor < 0:
            raise ArgumentError(
                f"{tensor.name}: axis {number} of {expected(tensor)} is {_plain(scalar)}: "
                f"no {name} gives {size}; got {describe(self.given[tensor.name])}"
            )
        self._set(name, (size - rest) // factor, tensor.name)
        return True

    def _set(self, name: str, size: int, source: str) -> None:
        if not 0 <= size <= MAX_DIM:
            raise ArgumentError(f"{self.kernel.name}: dim {name} would be {size} (from {source})")
        self.dims[name] = size
        self.source.setdefault(name, source)

    def _defined(self) -> bool:
        """Take one dim from a fact that defines it; tell whether there was one."""
        for fact in self.kernel.facts:
            if not fact.defines or fact.defines in self.dims or fact.value is None:
                continue
            try:
                size = int(self.value(fact.value))
            except Unknown:
                continue
            self._set(fact.defines, size, f"`where {fact.text}`")
            return True
        return False

    def _disagree(self, tensor: Tensor, number: int, size: int, wanted: int) -> None:
        scalar = tensor.shape[number]
        names = [part.name for part in sc.walk(scalar) if isinstance(part, sc.Dim)]
        where = [f"{n} = {self.dims[n]} from {self.source[n]}" for n in names if n in self.source]
        because = f" ({', '.join(where)})" if where else ""
        raise ArgumentError(
            f"{tensor.name}: expected {expected(tensor)} with {_plain(scalar)} = {wanted}"
            f"{because}, got {describe(self.given[tensor.name])}"
        )

    def _explain(self, name: str) -> None:
        outputs = [
            t.name
            for t in self.kernel.outputs
            if any(part == sc.Dim(name) for s in t.shape for part in sc.walk(s))
        ]
        of = f" of {outputs[0]}" if outputs else ""
        raise ArgumentError(
            f"{self.kernel.name}: no argument shows the dim {name}{of}: give dims={{'{name}': …}}"
        )


def _axes(axes: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, axes))}]"


def linear(scalar: sc.Scalar, value: Callable[[sc.Scalar], Number]) -> tuple[str, int, int] | None:
    """Return ``scalar`` as ``factor * name + rest``; ``name`` is empty where all is known.

    `None` where it has two unknown dims, or one in another form.
    """
    try:
        return "", 0, int(value(scalar))
    except Unknown:
        pass
    match scalar:
        case sc.Dim(name=name):
            return name, 1, 0
        case sc.Apply(op="add" | "sub" | "mul" as op, args=(a, b)):
            left, right = linear(a, value), linear(b, value)
            if left is None or right is None:
                return None
            return _combine(op, left, right)
        case sc.Apply(op="neg", args=(a,)):
            form = linear(a, value)
            return None if form is None else (form[0], -form[1], -form[2])
        case _:
            return None


def _combine(
    op: str, a: tuple[str, int, int], b: tuple[str, int, int]
) -> tuple[str, int, int] | None:
    if op == "mul":
        if a[0] and b[0]:
            return None
        (name, factor, rest), times = (a, b[2]) if a[0] else (b, a[2])
        return name, factor * times, rest * times
    if a[0] and b[0] and a[0] != b[0]:
        return None
    sign = -1 if op == "sub" else 1
    return a[0] or b[0], a[1] + sign * b[1], a[2] + sign * b[2]
