"""The arguments of a case: random, from a seed, in the shape that ``given`` lines ask for."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from tiledsl.diagnostics import CompileError
from tiledsl.ir import Kernel, OpGraph, ScalarParam, Tensor
from tiledsl.ops import convert
from tiledsl.ops.registry import Array
from tiledsl.runtime.binding import Header, first_binding
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number, Unknown, evaluate
from tiledsl.runtime.kernel import Kernel as RuntimeKernel
from tiledsl.runtime.launch import expected
from tiledsl.scalar import Apply, Dim
from tiledsl.syntax import tree
from tiledsl.testing.cases import Case, Plan, constant
from tiledsl.testing.errors import BadTest
from tiledsl.types import DType

FLOAT, INTEGER = 0.75, 1


class Inputs:
    """The arguments of one case, and with them the ``types`` and ``dims`` of its launch.

    With ``zeros`` floats are 0: no time depends on them, and memory that is only zero is not taken.
    """

    def __init__(
        self,
        kernel: RuntimeKernel,
        case: Case,
        plan: Plan,
        seed: int = 0,
        arrays: Mapping[str, Array] | None = None,
        *,
        zeros: bool = False,
    ) -> None:
        self._zeros = zeros
        self.header: Header = kernel.header
        self.plan = plan
        self.types = {n: str(v) for n, v in case.values if n in kernel.generics}
        numbers: dict[str, Number] = {
            n: v for n, v in case.values if n not in kernel.generics and not isinstance(v, str)
        }
        self._given = {line.name.id: line.value for line in plan.given}
        self._seed = seed
        self._arrays = arrays or {}
        params = {p.name.id for p in self.header.params}
        self.parameters = {n: v for n, v in numbers.items() if n in params}
        self._parameters_from_given(numbers)
        self.sizes = {n: int(v) for n, v in numbers.items() if n not in params}
        constants = {
            p.name.id: self.parameters[p.name.id]
            for p in self.header.params
            if p.kind == "const" and p.name.id in self.parameters
        }
        binding = first_binding(self.header, self.types, constants, {})
        self.graph: Kernel | OpGraph = kernel.instance(binding)
        self._sizes_from_facts(numbers)
        self.arguments = self._arguments()

    @property
    def dims(self) -> dict[str, int]:
        """The dims that the case names and the kernel has."""
        return {n: v for n, v in self.sizes.items() if n in self.graph.dims}

    def _parameters_from_given(self, numbers: Mapping[str, Number]) -> None:
        for param in self.header.params:
            line = self._given.get(param.name.id)
            if param.type.dims is None and line is not None:
                self.parameters.setdefault(param.name.id, constant(line, numbers))

    def _sizes_from_facts(self, numbers: Mapping[str, Number]) -> None:
        """Add the dims that ``where`` lines give by others: ``where K == G * 32``."""
        for fact in self.graph.facts:
            match fact.condition:
                case Apply(op="eq", args=(Dim(name=name), other)) if name not in self.sizes:
                    with suppress(Unknown):
                        self.sizes[name] = int(evaluate(other, self.sizes, numbers, {}))
                case _:
                    pass

    def _arguments(self) -> dict[str, object]:
        found: dict[str, object] = dict(self.parameters)
        for param in self.graph.params:
            match param:
                case ScalarParam(name=name, dtype=dtype, default=default):
                    if name not in found:
                        found[name] = _usual(dtype) if default is None else default
                case Tensor(name=name):
                    ready = self._arrays.get(name)
                    found[name] = self._array(param, found) if ready is None else ready
        return found

    def _array(self, tensor: Tensor, found: Mapping[str, object]) -> Array:
        scalars = {n: v for n, v in found.items() if isinstance(v, int | float | bool)}
        try:
            shape = [int(evaluate(s, self.sizes, scalars, {})) for s in tensor.shape]
        except Unknown as missing:
            raise ArgumentError(
                f"{tensor.name}: {expected(tensor)} needs a size for {missing}: give {missing}=…"
            ) from None
        if any(size < 0 for size in shape):
            raise ArgumentError(f"{tensor.name}: {expected(tensor)} would have a size below 0")
        rng = np.random.default_rng([self._seed, zlib.crc32(tensor.name.encode())])
        line = self._given.get(tensor.name)
        names = {**self.sizes, **scalars}
        if self._zeros and tensor.dtype.is_float:
            return np.zeros(shape, tensor.dtype.numpy)
        values = _default(tensor.dtype, shape, rng) if line is None else None
        if line is not None:
            values = self._drawn(line, tensor, shape, rng, names)
        return convert(np.asarray(values), tensor.dtype)

    def _drawn(
        self,
        line: tree.Expr,
        tensor: Tensor,
        shape: list[int],
        rng: np.random.Generator,
        names: Mapping[str, Number],
    ) -> Array:
        if not isinstance(line, tree.Call):
            return np.full(shape, constant(line, names))
        word = line.function.id
        if word == "file":
            return _from_file(line, tensor, shape)
        args = [constant(a, names) for a in line.args if not isinstance(a, tree.Becomes)]
        count = int(np.prod(shape, dtype=object))
        match word, args:
            case "normal", [mean, deviation]:
                return rng.normal(mean, deviation, shape)
            case "uniform", [low, high]:
                return rng.uniform(low, high, shape)
            case "integers", [low, high]:
                if high < low and count:
                    raise CompileError(
                        [BadTest(line.span, f"there is no integer from {low} to {high}")]
                    )
                return rng.integers(int(low), max(int(low), int(high)), shape, endpoint=True)
            case "arange", []:
                return np.arange(count).reshape(shape)
            case "permutation", []:
                return rng.permutation(count).reshape(shape)
            case "segments", [total]:
                return _segments(int(total), count, rng).reshape(shape)
            case _:
                forms = "normal(m, s), uniform(a, b), integers(a, b), arange(), permutation(), "
                raise CompileError(
                    [BadTest(line.span, f"inputs are {forms}segments(N) or file(…)")]
                )


def _segments(total: int, count: int, rng: np.random.Generator) -> Array:
    """Return offsets from 0 to ``total`` that never go back; empty segments come up."""
    if count == 0:
        return np.zeros(0, np.int64)
    cuts = np.sort(rng.integers(0, total, count, endpoint=True))
    cuts[0], cuts[-1] = 0, total
    return cuts


def _default(dtype: DType, shape: list[int], rng: np.random.Generator) -> Array:
    if dtype is DType.BOOL:
        return rng.integers(0, 1, shape, endpoint=True)
    if dtype.is_integer:
        low = -8 if dtype.is_signed else 0
        return rng.integers(low, 7 if dtype.bits == 4 else 8, shape)
    return rng.normal(0, 1, shape)


def _usual(dtype: DType) -> Number:
    if dtype is DType.BOOL:
        return True
    return FLOAT if dtype.is_float else INTEGER


def _from_file(line: tree.Call, tensor: Tensor, shape: list[int]) -> Array:
    match line.args:
        case (tree.String(value=name),):
            path = Path(line.span.source.name).parent / name
        case _:
            raise CompileError([BadTest(line.span, 'it has the form `file("x.npy")`')])
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise CompileError([BadTest(line.span, f"cannot read {path}: {problem}")]) from None
    if array.size != int(np.prod(shape, dtype=object)):
        sizes = ", ".join(map(str, shape))
        raise CompileError(
            [BadTest(line.span, f"{path} has {array.size} elements, {tensor.name} is [{sizes}]")]
        )
    return np.asarray(array).reshape(shape)
