"""The gradient of an operator by another kernel, whose parameters are found by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._library.custom_ops import CustomOpDef

from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.kernel import Kernel

_MARKS = ("d", "g", "grad_")


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each argument of the backward kernel comes from, and what each output is.

    A source is ``("param", NAME)``, ``("output", NUMBER)`` or ``("gradient", NUMBER)``; ``results``
    are the parameters of the forward kernel in the order of the backward kernel's outputs.
    """

    sources: tuple[tuple[str, tuple[str, str | int]], ...]
    results: tuple[str, ...]


def plan_of(kernel: Kernel, backward: Kernel) -> Plan:
    """Return how ``backward`` is called; raise `ArgumentError` for a name that means nothing."""
    params = [p.name for p in kernel.params]
    outputs = {p.name: number for number, p in enumerate(kernel.outputs)}
    marked = {f"{mark}{name}": number for name, number in outputs.items() for mark in _MARKS}
    sources: list[tuple[str, tuple[str, str | int]]] = []
    for param in backward.params:
        if param.name in params:
            sources.append((param.name, ("param", param.name)))
        elif param.name in outputs:
            sources.append((param.name, ("output", outputs[param.name])))
        elif param.name in marked:
            sources.append((param.name, ("gradient", marked[param.name])))
        elif not param.optional:
            known = ", ".join((*params, *outputs, *(f"d{name}" for name in outputs)))
            raise ArgumentError(
                f"{backward.name}: nothing of {kernel.name} is called {param.name}; "
                f"there are {known}"
            )
    tensors = {p.name.id for p in kernel.header.params if p.type.dims is not None}
    owners = {f"{mark}{name}": name for name in tensors for mark in _MARKS}
    for output in backward.outputs:
        if output.name not in owners:
            known = ", ".join(f"d{name}" for name in params if name in tensors)
            raise ArgumentError(
                f"{backward.name}: its output {output.name} is the gradient of no parameter of "
                f"{kernel.name}; there are {known}"
            )
    return Plan(tuple(sources), tuple(owners[output.name] for output in backward.outputs))


def attach(
    defined: CustomOpDef,
    kernel: Kernel,
    plan: Plan,
    backward: Callable[..., Any],
) -> None:
    """Tell PyTorch the gradient of the operator ``defined``."""
    names = [p.name for p in kernel.params]
    kept = {source for _, source in plan.sources}

    def keep(ctx: Any, inputs: tuple[object, ...], output: Any) -> None:
        results = output if isinstance(output, tuple) else (output,)
        found: dict[tuple[str, str | int], object] = {
            ("param", name): value for name, value in zip(names, inputs, strict=True)
        }
        found |= {("output", number): value for number, value in enumerate(results)}
        saved = [k for k in kept if isinstance(found.get(k), torch.Tensor)]
        ctx.places = saved
        ctx.numbers = {k: found[k] for k in kept if k in found and k not in saved}
        tensors = {n: v for n, v in zip(names, inputs, strict=True) if isinstance(v, torch.Tensor)}
        ctx.types = {n: v.dtype for n, v in tensors.items() if v.dtype.is_floating_point}
        ctx.save_for_backward(*(found[k] for k in saved))

    def differentiate(ctx: Any, *incoming: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values: dict[tuple[str, str | int], object] = dict(ctx.numbers)
        values |= zip(ctx.places, ctx.saved_tensors, strict=True)
        values |= {("gradient", number): grad for number, grad in enumerate(incoming)}
        results = backward(**{name: values[source] for name, source in plan.sources})
        several = results if isinstance(results, tuple | list) else (results,)
        found: Mapping[str, torch.Tensor] = dict(zip(plan.results, several, strict=True))
        # PyTorch leaves out trailing arguments that have their default value.
        for name, needed in zip(names, ctx.needs_input_grad, strict=False):
            if needed and name not in found:
                raise RuntimeError(
                    f"{kernel.name}: its backward kernel gives no gradient of {name}"
                )
        return tuple(
            found[name].to(ctx.types[name]) if name in found and name in ctx.types else None
            for name in names
        )

    defined.register_autograd(differentiate, setup_context=keep)
