"""What the cycle model is asked for each measured configuration, or why it is not."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Literal

from benchmarks import hand_written as hand
from tiledsl.chips import load as load_chip
from tiledsl.driver import load
from tiledsl.npu import program as npu
from tiledsl.npu.program import Ref, View
from tiledsl.npu.write import Writer
from tiledsl.runtime.estimates import estimate_kernel
from tiledsl.runtime.kernel import Module
from tiledsl.scalar import ONE, ZERO, integer
from tiledsl.scalar import Literal as Constant
from tiledsl.simulator import Simulation, estimate
from tiledsl.types import DType

KERNELS = Path(__file__).parent / "kernels"
B1, B2, B3, A5 = "ascend910b1", "ascend910b2", "ascend910b3", "ascend950pr"
F16, F32 = DType.F16, DType.F32
SIDE = 8192
ELEMENTS = SIDE * SIDE


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row cannot be asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions by metric, in the units of the file; ``refused`` has metrics with no answer."""

    values: Mapping[str, float]
    refused: Mapping[str, str] = field(default_factory=dict)


Question = Callable[[], Answer] | Refusal


def question_for(name: str, line: Mapping[str, str]) -> Question:
    """Return the question of the configuration ``name``."""
    if name in _QUESTIONS:
        return _QUESTIONS[name]
    for start, make in _FAMILIES.items():
        if name.startswith(start):
            return make(name, line)
    return Refusal("no question has been written for it")


# ---- answers ------------------------------------------------------------------------------------

_NAMES = {
    "MTE1": ("mte1",), "MTE2": ("mte2", "aiv_mte2"), "MTE3": ("aiv_mte3",),
    "V": ("aiv_vec",), "M": ("mac",), "FIX": ("fixpipe",),
}  # fmt: skip
_SCALAR = "the counters' scalar time is that of the vendor's library code"


_NOTHING: Mapping[str, str] = {}


def _told(run: Simulation, average: float = 1.0) -> Answer:
    """Return times in microseconds; busy times are averages over cores, as counters give them."""
    chip, timing = run.chip, run.timing
    launch = chip.costs.sync.launch_fixed + chip.costs.sync.launch_per_core * timing.blocks
    core = run.microseconds - launch
    values = {
        "task": run.microseconds, "time": run.microseconds, "aiv_time": core,
        "aicore": core * average, "max aic_time": core,
        "total_cycles": core * chip.mhz * timing.blocks,
    }  # fmt: skip
    for queue, metrics in _NAMES.items():
        for metric in metrics:
            if queue in timing.busy:
                values[metric] = timing.busy[queue] * average / chip.mhz
    refused = dict.fromkeys(("scalar", "aiv_scalar"), _SCALAR)
    return Answer(values, refused)


def _hand(
    make: Callable[[], Writer], chip: str, *, cores: int | None = None, average: float = 1.0,
    uniform: tuple[str, ...] = (), bypass: str = "", warm: bool = True,
) -> Answer:  # fmt: skip
    """Ask for a program written by hand."""
    w = make()
    run = estimate(
        w.program("asked", uniform=uniform), w.elements, load_chip(chip), cores=cores, warm=warm,
        bypass=frozenset(bypass),
    )  # fmt: skip
    return _told(run, average)


@cache
def _module(name: str) -> Module:
    return load(KERNELS / f"{name}.tile")


def _tile(
    file: str, kernel: str, chip: str, dims: Mapping[str, int], tiles: Mapping[str, int],
    dtype: str = "", *, on: str | None = None, refused: Mapping[str, str] = _NOTHING,
    cores: int | None = None,
) -> Answer:  # fmt: skip
    """Ask for a kernel of a ``.tile`` file, built for ``chip``, run there or ``on`` another."""
    types = {"T": dtype} if dtype else {}
    run = estimate_kernel(
        _module(file)[kernel], chip, dims, types=types, tiles=tiles, on=on, warm=True, cores=cores
    )
    answer = _told(run)
    return Answer(answer.values, {**answer.refused, **refused})


# ---- additions and copies -----------------------------------------------------------------------

LOW, MIDDLE, HIGH = (0, 0x4000, 0x8000), (0, 0x8000, 0x10000), (0, 0x10000, 0x20000)
CLEAN = (0, 0x10100, 0x20000)


def _add(
    chip: str, tile: int, depth: int, at: tuple[int, int, int], *, cores: int | None = None,
    bypass: str = "",
) -> Callable[[], Answer]:  # fmt: skip
    make = partial(hand.addition, ELEMENTS, tile, depth, at)
    return partial(_hand, make, chip, cores=cores, uniform=("size",), bypass=bypass)


def _scalar_add(chip: str) -> Callable[[], Answer]:
    return partial(_hand, partial(hand.scalar_addition, ELEMENTS, 4096), chip, cores=1)


def _copies(chip: str, cores: int, cols: int, tile: tuple[int, int], **more: int) -> Question:
    make = partial(hand.copies, 12288, cols, tile, cores, **more)  # type: ignore[arg-type]
    return partial(_hand, make, chip)


def _shared(chip: str, cores: int, rows: int, tile: tuple[int, int], **more: bool) -> Question:
    return partial(_hand, partial(hand.shared_copies, rows, 512, tile, cores, **more), chip)


# ---- products -----------------------------------------------------------------------------------

_API = "the time is that of the vendor's library code on the scalar unit between the copies"
_NORM = "how the Norm template stores a tile is not known"


def _ladder(
    chip: str, base: tuple[int, int, int], cores: tuple[int, int], steps: tuple[int, int],
    *, refused: Mapping[str, str] = _NOTHING, size: tuple[int, int, int] = (SIDE,) * 3,
    warm: bool = True,
) -> Callable[[], Answer]:  # fmt: skip
    """Ask for a product cut into rectangles; counters give averages over the cores."""

    def asked() -> Answer:
        high, wide = -(-size[0] // base[0]), -(-size[1] // base[1])
        blocks = cores[0] * cores[1]
        average = high * wide / blocks / (-(-high // cores[0]) * -(-wide // cores[1]))
        make = partial(hand.matmul, size, base, cores, steps)
        answer = _hand(
            make, chip, average=average, uniform=("tiles_m", "tiles_n"), warm=warm
        )
        return Answer(answer.values, {**answer.refused, **refused})

    return asked


_SERIAL = {"task": _API, "aicore": _API, "fixpipe": _NORM}
_UNIT = {"fixpipe": "with unit flags the counter counts the wait for the product too"}
_BASE, _SMALL, _LARGE = (128, 256, 64), (64, 64, 64), (256, 256, 64)


def _catlass(name: str, line: Mapping[str, str]) -> Question:
    m, n, k = map(int, line["shape"].split("x"))
    if line["dtype"] == "int8":
        return Refusal("its dequantising epilogue and tile sizes are not known")
    tiles = {"BM": 128, "BN": 256, "BK": 256}
    return partial(_tile, "matmul", "matmul", B2, {"M": m, "N": n, "K": k}, tiles, "f16")


# ---- single instructions ------------------------------------------------------------------------

_ROWS = Refusal("its instruction has strides that the program form does not say")


def _ticks(at: tuple[int, int, int], metric: str = "system ticks (50MHz)") -> Question:
    """Ask for 1000 Adds of 4096 f32: ticks of 20 ns."""

    def asked() -> Answer:
        w = hand.instruction(_binary("add", 4096), 1000, at)
        run = estimate(w.program("adds"), w.elements, load_chip(B3))
        return Answer({metric: run.timing.busy["V"] / run.chip.mhz * 50})

    return asked


def _binary(op: str, count: int) -> Callable[[Ref, Ref, Ref], npu.Step]:
    return lambda a, b, c: npu.Binary(op, View(c), View(a), View(b), ONE, integer(count))


def _unary(op: str, count: int) -> Callable[[Ref, Ref, Ref], npu.Step]:
    return lambda a, b, c: npu.Unary(op, c, a, integer(count))


def _with_scalar(op: str, rows: int, cols: int) -> Callable[[Ref, Ref, Ref], npu.Step]:
    return lambda a, b, c: npu.WithScalar(op, c, a, Constant(2.0, F32), integer(rows * cols))


def _cycles(make: Callable[[Ref, Ref, Ref], npu.Step], dtype: DType = F32) -> float:
    """Return the cycles of one instruction, its sources as the tests of the vendor place them."""
    w = hand.instruction(make, 1, (0, 0x4000, 0x8000), dtype, room=0x4000)
    run = estimate(w.program("one"), w.elements, load_chip(B3))
    return run.timing.busy["V"]


def _instruction(name: str, line: Mapping[str, str]) -> Question:
    """Ask for one instruction of the vendor's tests: ``INS-TADD-64x64-fp32``."""
    op, dtype = line["kernel"], {"fp16": F16, "fp32": F32}.get(line["dtype"])
    if op.startswith("TMATMUL"):
        return _product(name, line)
    sizes = [int(n) for n in re.findall(r"(\d+)x(\d+)", line["shape"])[0]]
    count = sizes[0] * sizes[1]
    if dtype is None and op == "TADD":
        dtype = {"int16": DType.I16, "int32": DType.I32}[line["dtype"]]
    if dtype is None:
        return Refusal("a type that the program form does not take")
    make = _maker(op, sizes[0], sizes[1], count, dtype)
    if isinstance(make, Refusal):
        return make
    kind = dtype
    return lambda: Answer({"cycles": _cycles(make, kind)})


def _maker(
    op: str, rows: int, cols: int, count: int, dtype: DType
) -> Callable[[Ref, Ref, Ref], npu.Step] | Refusal:
    pairs = {"TADD": "add", "TSUB": "sub", "TMUL": "mul", "TDIV": "div"}
    alone = {"TEXP": "exp", "TSQRT": "sqrt", "TABS": "abs"}
    scalars = {"TADDS": "add", "TMULS": "mul", "TMINS": "min"}
    width = integer(cols)
    if op in pairs:
        return _binary(pairs[op], count)
    if op in alone:
        return _unary(alone[op], count)
    if op in scalars and cols * dtype.size % 256 == 0:
        return _with_scalar(scalars[op], rows, cols)
    if op in ("TROWSUM", "TROWMAX"):
        fold: Literal["sum", "max"] = "sum" if op == "TROWSUM" else "max"
        return lambda a, b, c: npu.RowReduce(
            fold, c, View(a, "full", width), b, integer(rows), width, ZERO
        )
    if op == "TTRANS":
        return lambda a, b, c: npu.Transpose(
            View(c, "full", integer(rows)), View(a, "full", width), integer(rows), width
        )
    if op == "TCVT":
        return lambda a, b, c: npu.Convert(Ref(c.buffer, F16), a, "rint", integer(count))
    if op == "TSEL":
        return lambda a, b, c: npu.Select(c, Ref(b.buffer, DType.U8), a, a, integer(count))
    return Refusal("the vendor's function is a loop of instructions of its own")


def _product(name: str, line: Mapping[str, str]) -> Question:
    m, k, n = map(int, line["shape"].split("x"))
    dtype = {"fp16": F16, "fp32": F32, "int8": DType.I8}[line["dtype"]]
    times = 5 if "x5" in line["kernel"] else 1
    size: tuple[int, int, int] = (m, n, k)

    def asked() -> Answer:
        w = hand.product(*size, dtype, times)
        run = estimate(w.program("products"), w.elements, load_chip(B3))
        return Answer({"cycles": run.timing.busy["M"]})

    if min(size) < 16:
        return Refusal("7 cycles are less than the product takes by any other row")
    few = Refusal("5 products in 262 cycles: fewer than 4096 a cycle allow")
    return asked if times == 1 else few


def _fit(name: str, line: Mapping[str, str]) -> Question:
    """Ask for the line through 1 and 128 repeats: ``CAL-vadd``."""
    op = line["kernel"].removeprefix("v")
    pairs = {"add": "add", "sub": "sub", "mul": "mul", "max": "max", "div": "div"}
    alone = {"exp": "exp", "ln": "ln", "relu": "relu"}
    scalars = {"maxs": "max", "muls": "mul"}
    make: Callable[[int], Callable[[Ref, Ref, Ref], npu.Step]]
    if op in pairs:
        make = partial(_binary, pairs[op])
    elif op in alone:
        make = partial(_unary, alone[op])
    elif op in scalars:
        make = partial(_with_scalar, scalars[op], 1)
    else:
        return Refusal("the program form has no such instruction, or uses it otherwise")

    def asked() -> Answer:
        few, many = (_cycles(make(64 * n)) for n in (1, 64))
        slope = (many - few) / 63
        return Answer({"cycles/repeat": slope, "fixed": few - slope})

    return asked


# ---- attention ----------------------------------------------------------------------------------


def _attention(name: str, line: Mapping[str, str]) -> Question:
    """Ask for attention of one head in blocks of 128 queries, 128 keys a step, its cores apart.

    The JIT has a core for each block of queries; of the A3 one die is taken, as a 910B1.
    """
    sizes = {n: int(v) for n, v in re.findall(r"(\w+)=(\d+)", line["shape"])}
    queries = sizes.get("S0", sizes.get("S", 0))
    keys = sizes.get("S1", queries)
    chip, cores = (B2, queries // 128) if name.startswith("B2") else (B1, None)
    dims = {"S": queries, "L": keys, "D": sizes["H"]}
    return partial(
        _tile, "attention", "attention", chip, dims, {"BS": 128, "BL": 128}, "f16", cores=cores
    )


def _gelu(name: str, line: Mapping[str, str]) -> Question:
    """Ask for the Gelu of the 910B on the 950: it waits for memory, whatever computes it."""
    refused = {"aiv_vec": "no row gives the 950's exp and division; the file has them only here"}
    return partial(
        _tile, "elementwise", "gelu", B1, {"N": ELEMENTS}, {"BN": 8192}, on=A5, refused=refused
    )


def _refuse(reason: str) -> Callable[[str, Mapping[str, str]], Question]:
    return lambda name, line: Refusal(reason)



_LONG = _copies(B1, 48, 12288, (64, 1024))
_QUESTIONS: dict[str, Question] = {
    "A2-ADD-0": _scalar_add(B1),
    "A2-ADD-1": _add(B1, 4096, 1, LOW, cores=1),
    "A2-ADD-2": _add(B1, 4096, 1, LOW),
    "A2-ADD-3": _add(B1, 16384, 1, MIDDLE),
    "A2-ADD-4": _add(B1, 16384, 2, HIGH),
    "A2-ADD-5": _add(B1, 16384, 2, HIGH, bypass="xy"),
    "A2-ADD-6": _add(B1, 16256, 2, CLEAN, bypass="xy"),
    "A5-ADD-0": _scalar_add(A5),
    "A5-ADD-1": _add(A5, 4096, 1, LOW, cores=1),
    "A5-ADD-2": _add(A5, 4096, 1, LOW),
    "A5-ADD-3": _add(A5, 21760, 1, HIGH),
    "A5-ADD-4": _add(A5, 21760, 2, (0, 87040, 174080)),
    "A5-ADD-5": _add(A5, 21760, 2, (0, 87040, 174080), bypass="xy"),
    "A2-DC-UB1": _copies(B1, 48, 12288, (1, 64)),
    "A2-DC-UB2": _copies(B1, 48, 12288, (64, 64)),
    "A2-DC-UB3": _LONG,
    "A2-DC-UB4": _copies(B1, 48, 12287, (64, 1024)),
    "A2-DC-UB5": _copies(B1, 48, 12288, (64, 1024), repeats=4),
    "A2-DC-UB6": _copies(B1, 48, 12288, (64, 1024), repeats=4, slices=4),
    "A2-DC-UB7": _shared(B1, 48, 6144, (128, 64)),
    "A2-DC-UB8": _shared(B1, 48, 6144, (128, 64), rotated=True),
    "A5-DC-UB1": _copies(A5, 64, 12288, (1, 64)),
    "A5-DC-UB2": _copies(A5, 64, 12288, (64, 64)),
    "A5-DC-UB3": _copies(A5, 64, 12288, (64, 1024)),
    "A5-DC-UB4": _copies(A5, 64, 12287, (64, 1024)),
    "A5-DC-UB5": _copies(A5, 64, 12288, (64, 1024), repeats=4),
    "A5-DC-UB6": _copies(A5, 64, 12288, (64, 1024), repeats=4, slices=4),
    "A5-DC-UB7": _shared(A5, 64, 8192, (128, 64)),
    "A5-DC-UB8": _shared(A5, 64, 8192, (128, 64), rotated=True),
    "A5-DC-L1a": _copies(A5, 32, 12288, (64, 64), to_l1=True),
    "A5-DC-L1b": _copies(A5, 32, 12288, (64, 256), to_l1=True),
    "A5-DC-L1c": _copies(A5, 32, 12287, (64, 256), to_l1=True),
    "A5-DC-L1d": _copies(A5, 32, 12288, (64, 1024), to_l1=True, repeats=4),
    "A5-DC-L1e": _copies(A5, 32, 12288, (64, 1024), to_l1=True, repeats=4, slices=4),
    "A5-DC-L1f": _shared(A5, 32, 8192, (256, 64), to_l1=True),
    "A5-DC-L1g": _shared(A5, 32, 8192, (256, 64), to_l1=True, rotated=True),
    "A2-MM-0": _ladder(B1, _SMALL, (1, 1), (1, 1), refused=_SERIAL),
    "A2-MM-1": _ladder(B1, _BASE, (1, 1), (1, 1), refused=_SERIAL),
    "A2-MM-2": Refusal("tiles of 171 columns: the cut into cores is not one of whole tiles"),
    "A2-MM-3": _ladder(B1, _BASE, (4, 6), (1, 1), refused=_SERIAL),
    "A2-MM-4": _ladder(B1, _BASE, (4, 6), (2, 2)),
    "A2-MM-5": _ladder(B1, _BASE, (4, 6), (8, 4)),
    "A2-MM-6": _ladder(B1, _BASE, (4, 6), (8, 4)),
    "A2-MM-7": _ladder(B1, _BASE, (4, 6), (8, 4)),
    "A2-MM-8": _ladder(B1, _BASE, (4, 6), (8, 4), refused=_UNIT),
    "A2-MMB-1": _ladder(B1, _BASE, (4, 6), (8, 4), refused=_UNIT),
    "A2-MMB-2": _ladder(B1, _BASE, (4, 6), (8, 4), refused=_UNIT),
    "A5-MM-0": _ladder(A5, _SMALL, (1, 1), (1, 1), refused=_SERIAL),
    "A5-MM-1": _ladder(A5, _LARGE, (1, 1), (1, 1), refused=_SERIAL),
    "A5-MM-2": _ladder(A5, _LARGE, (4, 8), (1, 1), refused=_SERIAL),
    "A5-MM-3": _ladder(A5, _LARGE, (4, 8), (1, 1), refused=_SERIAL),
    "A5-MM-4": _ladder(A5, _LARGE, (4, 8), (2, 2)),
    "A5-MM-5": _ladder(A5, _LARGE, (4, 8), (4, 4)),
    "A5-MM-6": _ladder(A5, _LARGE, (4, 8), (4, 4)),
    "A5-MM-7": _ladder(A5, _LARGE, (4, 8), (4, 4)),
    "A5-MM-8": _ladder(A5, _LARGE, (4, 8), (4, 4), refused=_UNIT),
    "A2-GELU": partial(_tile, "elementwise", "gelu", B1, {"N": ELEMENTS}, {"BN": 8192}),
    "A2-UBBANK-1": _ticks((0, 0x10100, 0x20000)),
    "A2-UBBANK-2": _ticks((0, 0x4000, 0x10000)),
    "A2-UBBANK-3": _ticks((0, 0x10000, 0x14100)),
    "A2-UBBANK-4": _ticks((0, 0x10100, 0x4000)),
    "A2-UBBANK-5": _ticks((0, 0x10100, 0x4020)),
    "A2-UBBANK-6": _ticks((0, 0x10100, 0x10100)),
    "A2-UBBANK-7": _ROWS,
    "A2-UBBANK-8": _ROWS,
    "A2-RED-1": Refusal("the loop of the vendor's library around the instructions is not known"),
    "CS-TIL-3": _ladder(B3, _BASE, (4, 5), (4, 4), size=(4096, 5120, 4096), warm=False),
    "CS-TIL-2": _ladder(B3, _BASE, (4, 5), (2, 2), size=(4096, 5120, 4096), warm=False),
    "CS-MDL-0": _ladder(B1, _BASE, (1, 24), (1, 1), size=(128, 30720, 1024), warm=False),
    "CS-MDL-1": _ladder(B1, _BASE, (1, 24), (4, 4), size=(128, 30720, 1024), warm=False),
}
_FAMILIES: dict[str, Callable[[str, Mapping[str, str]], Question]] = {
    "B2-CAT00": _catlass,
    "B1-CAT": _catlass,
    "INS-": _instruction,
    "CAL-": _fit,
    "B2-FAJIT": _attention,
    "A3-FADSL": _attention,
    "A5-UBBANK": _refuse("a loop of register instructions, of which the program form has none"),
    "A5-GELU": _gelu,
    "A2-RED": _refuse("the loop of the vendor's library around the instructions is not known"),
    "CS-": _refuse("the tiles or the vendor's library code that take the time are not known"),
    "A3-PTOTOPK": _refuse("Sort32 and MrgSort are not instructions of the program form"),
    "A2-DHRY": _refuse("a program of the scalar unit alone"),
    "A5-DHRY": _refuse("a program of the scalar unit alone"),
}
