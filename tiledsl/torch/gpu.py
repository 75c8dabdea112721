"""A kernel on tensors in the memory of a GPU: no copies, on the current stream."""

from collections.abc import Mapping

import torch

from tiledsl.gpu.program import Program
from tiledsl.ir import Kernel as KernelIR
from tiledsl.ir import OpGraph, Step, Tensor
from tiledsl.runtime.cuda import launch_cuda
from tiledsl.runtime.devices import Compiled, tables_of
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.runtime.kernel import Kernel
from tiledsl.torch.sizes import Sizes, solve
from tiledsl.torch.tensors import to_torch, torch_type


def run(
    kernel: Kernel,
    graph: KernelIR | OpGraph,
    given: Mapping[str, object],
    device: torch.device,
    dims: Mapping[str, int],
    tiles: Mapping[str, int],
) -> list[torch.Tensor]:
    """Run on the GPU ``device``, where the tensors of ``given`` are; return the outputs."""
    tensors = {name: v.detach() for name, v in given.items() if isinstance(v, torch.Tensor)}
    for tensor in graph.params:
        if isinstance(tensor, Tensor) and tensors[tensor.name].device != device:
            raise ArgumentError(f"{tensor.name}: is not on {device}, where the first tensor is")
    scalars = {n: v for n, v in given.items() if isinstance(v, int | float | bool)}
    compiled = iter(kernel.compiled(graph, target_of(device), tiles))
    sizes = solve(graph, tensors, scalars, dims)
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    made = {t.name: _made(t, sizes, device) for t in graph.outputs}
    whole |= made

    def launch(
        one: KernelIR | OpGraph, tensors: Mapping[str, torch.Tensor],
        scalars: Mapping[str, Number], dims: Mapping[str, int],
    ) -> None:  # fmt: skip
        """Launch a kernel, or the steps of an op, of which some may be cut in parts."""
        if isinstance(one, KernelIR):
            parted = kernel.parted(one, target_of(device))
            if isinstance(parted, KernelIR):
                _launch(kernel, next(compiled), tensors, scalars, device, dims)
                return
            one = parted
        sizes = solve(one, tensors, scalars, dims)
        known = {**tensors, **{t.name: _made(t, sizes, device) for t in one.temps}}
        for step in one.steps:
            inner: dict[str, torch.Tensor] = {}
            numbers: dict[str, Number] = {}
            mine = (*step.kernel.params, *step.kernel.outputs)
            for param, theirs in zip(mine, (*step.args, *step.outputs), strict=True):
                if isinstance(theirs, Tensor):
                    inner[param.name] = known[theirs.name]
                else:
                    numbers[param.name] = evaluate(theirs, _plain(sizes), _numbers(sizes), {})
            if step.kernel.origin:
                _launch(kernel, next(compiled), inner, numbers, device, _chosen(step, sizes))
            else:
                launch(step.kernel, inner, numbers, _chosen(step, sizes))

    launch(graph, whole, scalars, dims)
    for tensor in graph.params:
        if isinstance(tensor, Tensor) and tensor.role == "inout":
            caller, ours = tensors[tensor.name], whole[tensor.name]
            if caller.data_ptr() != ours.data_ptr():
                caller.copy_(ours)
    return [made[t.name] for t in graph.outputs]


def target_of(device: torch.device) -> str:
    """Return the target to build for a GPU."""
    return "cuda.sm90" if torch.cuda.get_device_capability(device) >= (9, 0) else "cuda.sm80"


def current_stream(device: torch.device) -> int:
    """Return the stream on which PyTorch works now."""
    return int(torch.cuda.current_stream(device).cuda_stream)


def _launch(
    kernel: Kernel,
    compiled: Compiled,
    tensors: Mapping[str, torch.Tensor],
    scalars: Mapping[str, Number],
    device: torch.device,
    dims: Mapping[str, int],
) -> None:
    program, ir = compiled.program, compiled.kernel
    assert isinstance(program, Program)
    sizes = solve(ir, tensors, scalars, dims)
    for fact in ir.facts:
        if not evaluate(fact.condition, _plain(sizes), _numbers(sizes), {}):
            raise ArgumentError(f"{ir.name}: `where {fact.text}` does not hold")
    for tensor in ir.outputs:
        if tensor.initial is not None:
            start = evaluate(tensor.initial, _plain(sizes), _numbers(sizes), {})
            tensors[tensor.name].fill_(start)
    tables = {name: to_torch(array).to(device) for name, array in tables_of(ir).items()}
    pointers = {name: tensor.data_ptr() for name, tensor in (*tensors.items(), *tables.items())}
    launch_cuda(
        program,
        kernel.files(compiled),
        pointers,
        _plain(sizes),
        _numbers(sizes),
        current_stream(device),
    )


def _made(tensor: Tensor, sizes: Sizes, device: torch.device) -> torch.Tensor:
    """Return memory for an output or a temporary."""
    kind = torch_type(tensor.name, tensor.dtype)
    return torch.empty(sizes.shape(tensor), dtype=kind, device=device)


def _chosen(step: Step, sizes: Sizes) -> dict[str, int]:
    """Return the dims that a step is told."""
    return {name: int(sizes.dims[name]) for name in step.dims}


def _plain(sizes: Sizes) -> dict[str, int]:
    return {name: int(size) for name, size in sizes.dims.items()}


def _numbers(sizes: Sizes) -> dict[str, Number]:
    return {n: v for n, v in sizes.scalars.items() if isinstance(v, int | float | bool)}
