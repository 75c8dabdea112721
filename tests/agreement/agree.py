"""Running one sample on every device, against the tile IR executed in f64."""

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

import tiledsl
from tests.agreement.expressions import Param
from tests.agreement.writer import Output, Sample
from tiledsl import CompileError, ir
from tiledsl.ops.registry import Array
from tiledsl.runtime.kernel import Kernel, Result
from tiledsl.runtime.launch import prepare
from tiledsl.testing.interpreter import interpret
from tiledsl.types import DTYPES

DEVICES = ("sim", "ascend-host", "cuda-host")

# What a target is known not to do: the words of its error.
_NPU_LIMITS = (
    "a transposition of more than two axes",
    "is not the tensor's last dim",
    "element by element",
    "sorting i",
    "sorting u32",
    "two elements to a byte",
    "of a 4-bit tensor",
    "random numbers by a number in a tensor of",
    "tiles handed over between cube and vector cores",
    "a 4-bit tile of more than two ranges",
    "ascend310p cannot do this yet: a matrix product of f32",
    "ascend310p cannot do this yet: a product of i8 with a side whose rows are",
)
KNOWN_LIMITS: dict[str, tuple[str, ...]] = {
    "sim": _NPU_LIMITS,
    "ascend-host": _NPU_LIMITS,
    "cuda-host": (),
}


# What tiles that are too large are told; sizes that the compiler takes must fit, those that the
# text fixes need not.
CAPACITY = ("S001", "S101")
FIXED = re.compile(r"\bby \d")


class DisagreementError(AssertionError):
    """A device that gives something else than the text says."""


@dataclass
class Counts:
    """How many kernels and launches ran on how many devices, and which limits were met."""

    ran: Counter[str]
    limits: Counter[str]


COUNTS = Counts(Counter(), Counter())


def agree(sample: Sample) -> None:
    """Raise `DisagreementError` unless all devices give what the kernel says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sample.tile")
        path.write_text(sample.text, encoding="utf-8")
        kernel = tiledsl.load(path)["sample"]
    COUNTS.ran[f"{sample.kind} kernels"] += 1
    for number, dims in enumerate(sample.launches):
        rng = np.random.default_rng([sample.seed, number])
        args: dict[str, object] = {p.name: values(p, dims, rng) for p in sample.params}
        want = expected(kernel, args, dims)
        for device in DEVICES:
            _compare(sample, kernel, device, args, dims, want)


def values(param: Param, dims: dict[str, int], rng: np.random.Generator) -> Array | float | int:
    """Return an argument."""
    shape = [int(eval(d, {}, dict(dims))) for d in param.dims]
    drawn: Array
    if param.kind == "order":
        drawn = rng.permutation(shape[0])
    elif param.step:
        low, high = round(param.low / param.step), round(param.high / param.step)
        drawn = rng.integers(low, high, shape, endpoint=True) * param.step
    else:
        drawn = np.asarray(rng.uniform(param.low, param.high, shape))
    if not param.dims:
        single = np.asarray(drawn).astype(DTYPES[param.dtype].numpy).item()
        return single if isinstance(single, int) else float(single)
    if param.wild:
        odd = rng.choice([np.nan, np.inf, -np.inf, -0.0], shape)
        drawn = np.where(rng.uniform(size=shape) < 0.1, odd, drawn)
    return np.asarray(drawn).astype(DTYPES[param.dtype].numpy)


def expected(kernel: Kernel, args: dict[str, object], dims: dict[str, int]) -> dict[str, Array]:
    """Return the outputs of the tile IR executed in f64."""
    graph = kernel.instance(ir.Binding())
    assert isinstance(graph, ir.Kernel)
    launch = prepare(graph, args, dims)
    interpret(graph, launch.arrays, launch.dims, launch.scalars, precise=True)
    return launch.outputs


def _compare(
    sample: Sample,
    kernel: Kernel,
    device: str,
    args: dict[str, object],
    dims: dict[str, int],
    want: dict[str, Array],
) -> None:
    where = f"{device} ({sample.chips[device]}), {dims}"
    copies = {n: a.copy() if isinstance(a, np.ndarray) else a for n, a in args.items()}
    tiles = sample.tiles

    def run(tiles: dict[str, int]) -> Result:
        return kernel.run(
            copies,
            device=device,
            chip=sample.chips[device],
            dims=dims,
            tiles=tiles,
            hazards=device == "sim",
        )

    try:
        try:
            result = run(tiles)
        except CompileError as error:
            if not tiles or not all(d.code in CAPACITY for d in error.diagnostics):
                raise
            result = run({})
    except CompileError as error:
        text = str(error)
        if FIXED.search(sample.text) and all(d.code in CAPACITY for d in error.diagnostics):
            COUNTS.limits[f"{device}: too large"] += 1
            return
        for limit in KNOWN_LIMITS[device]:
            if limit in text:
                COUNTS.limits[f"{device}: {limit}"] += 1
                return
        raise
    COUNTS.ran[f"launches on {device}"] += 1
    for output in sample.outputs:
        wrong = difference(output, result.outputs[output.name], want[output.name])
        if wrong:
            raise DisagreementError(f"{where}: {output.name}: {wrong}")


def difference(output: Output, got: Array, want: Array) -> str:
    """Say where two outputs differ; nothing if they agree."""
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if not DTYPES[output.dtype].is_float:
        bad = got != want
    else:
        a, b = got.astype(np.float64), want.astype(np.float64)
        special = ~(np.isfinite(a) & np.isfinite(b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):
            bad = np.where(special, ~same, np.abs(a - b) > output.error)
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return (
        f"{int(bad.sum())} of {bad.size} elements differ, the first at {at}: got {got[at]}, "
        f"expected {want[at]} within {output.error:.3g}"
    )


__all__ = ["COUNTS", "DisagreementError", "agree", "ml_dtypes"]
