"""Kernels of the library called one after the other, and what each call took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from tables import Cell

import tiledsl

Array = np.ndarray[Any, Any]


@dataclass(slots=True)
class Call:
    """A call of a kernel; cycles and bytes are 0 where the device does not count them."""

    operator: str
    kernel: str
    launches: int
    moved: int
    cycles: int
    microseconds: float


@dataclass(slots=True)
class Chain:
    """Where kernels run, and the calls so far."""

    device: str = "sim"
    chip: str | None = None
    hazards: bool = False
    calls: list[Call] = field(default_factory=list)

    def run(
        self, operator: str, name: str, *args: object, types: Mapping[str, str] | None = None
    ) -> Any:
        """Call the kernel ``topic:name`` of the library as the step ``operator``.

        Returns its output, or a tuple of several; what is ``inout`` is updated in place.
        """
        kernel = kernel_of(name)
        result = kernel.run(
            args, device=self.device, chip=self.chip, types=types, hazards=self.hazards
        )
        self.calls.append(
            Call(
                operator, kernel.name, result.launches, result.moved or 0, result.cycles or 0,
                result.microseconds or 0.0,
            )
        )  # fmt: skip
        outputs = tuple(result.outputs[p.name] for p in kernel.outputs)
        return outputs[0] if len(outputs) == 1 else outputs


@cache
def kernel_of(name: str) -> tiledsl.Kernel:
    """Return the kernel ``topic:name`` of the library."""
    topic, kernel = name.split(":")
    return tiledsl.load(f"std:{topic}")[kernel]


def cost_rows(calls: list[Call], errors: Mapping[str, float]) -> list[dict[str, Cell]]:
    """Return a row an operator, its calls added up, and their sum; ``errors`` by operator."""
    total = sum(call.microseconds for call in calls) or 1.0
    rows: list[dict[str, Cell]] = []
    for operator in dict.fromkeys(call.operator for call in calls):
        own = [call for call in calls if call.operator == operator]
        kernels = ", ".join(dict.fromkeys(call.kernel for call in own))
        rows.append(_row(operator, kernels, own, total) | {"max error": errors.get(operator)})
    return [*rows, _row("sum", "", calls, total)]


def _row(operator: str, kernels: str, calls: list[Call], total: float) -> dict[str, Cell]:
    time = sum(call.microseconds for call in calls)
    return {
        "operator": operator,
        "kernel": kernels,
        "launches": sum(call.launches for call in calls),
        "bytes": sum(call.moved for call in calls),
        "cycles": sum(call.cycles for call in calls),
        "µs": round(time, 1),
        "share": f"{time / total:.1%}",
    }
