"""One kernel as one operator: its schema, what runs it, its shapes, its gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch._library.custom_ops import CustomOpDef

from tiledsl.ir import Kernel as KernelIR
from tiledsl.ir import OpGraph, Tensor
from tiledsl.runtime.arrays import poisoned
from tiledsl.runtime.binding import arguments, specialise
from tiledsl.runtime.kernel import Kernel
from tiledsl.testing.precise import run_in_f64
from tiledsl.torch import gpu, gradients
from tiledsl.torch.schema import device_place, schema_of
from tiledsl.torch.sizes import solve
from tiledsl.torch.tensors import element_type, to_numpy, to_torch, torch_type
from tiledsl.types import DTYPES, DType

_DEFINED: dict[str, Kernel] = {}  # what `torch.ops.tiledsl` has now
Outputs: TypeAlias = torch.Tensor | tuple[torch.Tensor, ...] | None


def register(
    kernel: Kernel,
    backward: Kernel | None = None,
    *,
    device: str = "sim",
    types: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
    tiles: Mapping[str, int] | None = None,
    fallback: str = "",
) -> Any:
    """Make ``kernel`` the operator `torch.ops.tiledsl.NAME` and return it.

    Tensors on the host run on ``device``: ``sim``, ``ascend-host`` or ``cuda-host``; those on a
    GPU run there, on the current stream. ``types`` and ``dims`` name what the arguments do not
    show; ``tiles`` sets tile sizes; with ``fallback="numpy"`` a kernel that the host's device
    cannot do runs in NumPy.

    ``backward`` is the kernel of the gradient. Its parameters are found by name: a parameter or an
    output of ``kernel``, or ``dY`` (also ``gY`` or ``grad_Y``), the gradient of the output ``Y``;
    its output ``dX`` is the gradient of the parameter ``X``.
    """
    operator = _Operator(
        kernel, device, dict(types or {}), dict(dims or {}), dict(tiles or {}), fallback
    )
    plan = gradients.plan_of(kernel, backward) if backward is not None else None
    defined = operator.define()
    if backward is not None and plan is not None:
        inner = _Operator(backward, device, operator.types_of(backward), {}, {}, fallback)
        if _DEFINED.get(backward.name) is not backward:  # which may have a gradient of its own
            inner.define()
        gradients.attach(defined, kernel, plan, getattr(torch.ops.tiledsl, backward.name))
    return getattr(torch.ops.tiledsl, kernel.name)


@dataclass(frozen=True, slots=True)
class _Operator:
    """What is registered for one kernel."""

    kernel: Kernel
    device: str
    types: dict[str, str]
    dims: dict[str, int]
    tiles: dict[str, int]
    fallback: str

    def types_of(self, backward: Kernel) -> dict[str, str]:
        """Return the element types that are set and that the other kernel has, too."""
        return {name: kind for name, kind in self.types.items() if name in backward.generics}

    def define(self) -> CustomOpDef:
        """Register the operator with PyTorch."""
        updated = [p.name for p in self.kernel.params if p.kind == "inout"]
        defined = torch.library.custom_op(
            f"tiledsl::{self.kernel.name}",
            self.on_host,
            mutates_args=updated,
            device_types="cpu",
            schema=schema_of(self.kernel),
        )
        defined.register_kernel("cuda")(self.on_gpu)
        defined.register_fake(self.fake)
        _DEFINED[self.kernel.name] = self.kernel
        return defined

    def on_host(self, *args: object, **named: object) -> Outputs:
        """Run on tensors of the host."""
        call = self.call(args, named)
        given = {
            n: to_numpy(v) if isinstance(v, torch.Tensor) else v for n, v in call.given.items()
        }
        if call.precise:
            found = run_in_f64(call.graph, given, self.dims)
        else:
            found = self.kernel.run(
                given,
                device=self.device,
                types=self.types,
                dims=self.dims,
                tiles=self.tiles,
                fallback=self.fallback,
            ).outputs
        return _unwrapped([to_torch(found[t.name]) for t in call.graph.outputs])

    def on_gpu(self, *args: object, **named: object) -> Outputs:
        """Run on tensors of a GPU, where they are."""
        call = self.call(args, named)
        if call.precise:
            return self.by_the_host(call.given)
        found = gpu.run(self.kernel, call.graph, call.given, call.device, self.dims, self.tiles)
        return _unwrapped(found)

    def by_the_host(self, given: Mapping[str, object]) -> Outputs:
        """Run on copies of a GPU's tensors: that in f64 is no work for it."""
        tensors = {name: v for name, v in given.items() if isinstance(v, torch.Tensor)}
        copies = {name: tensor.cpu() for name, tensor in tensors.items()}
        found = self.on_host(**{**given, **copies})
        for param in self.kernel.params:
            if param.kind == "inout":
                tensors[param.name].copy_(copies[param.name])
        device = next(iter(tensors.values())).device
        several = found if isinstance(found, tuple) else (found,)
        return _unwrapped([tensor.to(device) for tensor in several if tensor is not None])

    def fake(self, *args: object, **named: object) -> Outputs:
        """Return outputs without elements, of the shapes that a run would give."""
        call = self.call(args, named)
        tensors = {n: v for n, v in call.given.items() if isinstance(v, torch.Tensor)}
        scalars: dict[str, Any] = {n: v for n, v in call.given.items() if n not in tensors}
        sizes = solve(call.graph, tensors, scalars, self.dims)
        return _unwrapped(
            [
                torch.empty(sizes.shape(t), dtype=call.type_of(t), device=call.device)
                for t in call.graph.outputs
            ]
        )

    def call(self, args: Sequence[object], named: Mapping[str, object]) -> "_Call":
        """Return the arguments by name, and the kernel for their types."""
        args, named = list(args), dict(named)
        device = named.pop("device", None)
        place = device_place(self.kernel.header)
        if place is not None and device is None:
            device = args.pop(place)
        given = arguments(self.kernel.header, args, named)
        if place is None:
            device = next(v.device for v in given.values() if isinstance(v, torch.Tensor))
        assert isinstance(device, torch.device)
        types = dict(self.types)
        stand: dict[str, object] = {}
        precise = False
        for param in self.kernel.header.params:
            name = param.name.id
            value = given.get(name)
            if not isinstance(value, torch.Tensor):
                if param.kind == "const" and value is not None:
                    stand[name] = value
                continue
            came = element_type(name, value)
            choices = self.kernel.generics.get(param.type.name.id, (param.type.name.id,))
            if came is DType.F64 and "f64" not in choices:
                precise = True
                came = _nearest(choices)
            stand[name] = poisoned((0,) * value.dim(), came)
        graph = self.kernel.instance(specialise(self.kernel.header, {**given, **stand}, types))
        return _Call(given, graph, device, precise)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: its arguments, the kernel they ask for, where it is, whether it runs in f64."""

    given: dict[str, object]
    graph: KernelIR | OpGraph
    device: torch.device
    precise: bool

    def type_of(self, output: Tensor) -> torch.dtype:
        """Return the type of an output."""
        if self.precise and output.dtype.is_float:
            return torch.float64
        return torch_type(output.name, output.dtype)


def _nearest(choices: Sequence[str]) -> DType:
    """Return the type for which the kernel is taken where f64 came: f32 if it can be."""
    return DTYPES["f32"] if "f32" in choices else DTYPES[choices[0]]


def _unwrapped(tensors: Sequence[torch.Tensor]) -> Outputs:
    if not tensors:
        return None
    return tensors[0] if len(tensors) == 1 else tuple(tensors)
