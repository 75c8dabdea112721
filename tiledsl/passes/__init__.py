"""What is done to the tile IR whatever the target: small functions from kernel to kernel.

Passes may be left out in any combination without a change in results.
"""

from collections.abc import Callable, Iterable, Iterator

from tiledsl.ir import Kernel
from tiledsl.passes.dead_code import drop_dead_code
from tiledsl.passes.fold import fold_constants
from tiledsl.passes.hoist import hoist_loads
from tiledsl.passes.merge import merge_equal_values

Pass = Callable[[Kernel], Kernel]

# In the order in which they run.
PASSES: dict[str, Pass] = {
    "fold_constants": fold_constants,
    "merge_equal_values": merge_equal_values,
    "hoist_loads": hoist_loads,
    "drop_dead_code": drop_dead_code,
}


def run_passes(kernel: Kernel, names: Iterable[str] = tuple(PASSES)) -> Kernel:
    """Return ``kernel`` after the passes ``names``, in the table's order."""
    chosen = set(names)
    for name, change in PASSES.items():
        if name in chosen:
            kernel = change(kernel)
    return kernel


def stages(kernel: Kernel) -> Iterator[tuple[str, Kernel]]:
    """Yield the name of each pass with the kernel after it."""
    for name, change in PASSES.items():
        kernel = change(kernel)
        yield name, kernel


__all__ = ["PASSES", "run_passes", "stages"]
