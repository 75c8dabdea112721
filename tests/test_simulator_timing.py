"""Cycles: what must hold of any count, and what a chip's file says of single instructions."""

from dataclasses import replace

import numpy as np
import pytest

from tests.npu_samples import (
    MTE2,
    V,
    flag,
    one_step,
    product_and_bias,
    row_softmax,
    vector_add,
    wait,
)  # fmt: skip
from tiledsl.chips import Chip, load, names
from tiledsl.npu import program as npu
from tiledsl.npu.program import Barrier, Buffer, Memory, Ref, View
from tiledsl.ops.registry import Array
from tiledsl.scalar import ONE, ZERO, Literal, integer
from tiledsl.simulator import Simulation, costs, simulate, timer
from tiledsl.simulator.estimate import estimate
from tiledsl.types import DType

F32 = DType.F32
CHIP = load("ascend910b3")
LAUNCH = (CHIP.costs.sync.launch_fixed + CHIP.costs.sync.launch_per_core) * CHIP.mhz


def _add(count: int, depth: int = 2, **more: object) -> Simulation:
    arrays = {n: np.zeros(count, np.float32) for n in "xyz"}
    options = {"chip": CHIP} | more
    program = vector_add(depth, tile=2048)
    return simulate(program, arrays, {"N": count}, {}, **options)  # type: ignore[arg-type]


def _product(rows: int, slots: int = 2) -> Simulation:
    arrays: dict[str, Array] = {
        "a": np.zeros((rows, 48), np.float16), "b": np.zeros((48, 32), np.float16),
        "bias": np.zeros(32, np.float32), "y": np.zeros((rows, 32), np.float32),
    }  # fmt: skip
    return simulate(product_and_bias(slots), arrays, {"M": rows, "K": 48}, {}, CHIP)


def test_more_elements_take_longer() -> None:
    times = [_add(n).cycles for n in (0, 1, 2048, 100_000, 200_000, 1_000_000)]
    assert times == sorted(times)
    assert times[0] >= LAUNCH
    assert times[-1] > 2 * times[2]


def test_a_second_slot_lets_copies_and_work_overlap() -> None:
    one, two = (_add(500_000, depth, cores=1).cycles for depth in (1, 2))
    assert two < 0.8 * one
    assert _product(2000, 2).cycles < _product(2000, 1).cycles


def test_more_cores_take_less_time() -> None:
    times = [_add(1_000_000, cores=n).cycles for n in (1, 2, 5, 20)]
    assert times == sorted(times, reverse=True)


def test_a_queue_is_never_busier_than_the_run_is_long() -> None:
    for run in (_add(100_000), _product(500)):
        assert all(0 < busy <= run.cycles for busy in run.timing.busy.values())


def test_bytes_are_those_that_move() -> None:
    assert _add(100_003).timing.moved == {"GM->UB": 800_024, "UB->GM": 400_012}
    moved = _product(100).timing.moved
    assert moved["L0C->GM"] == 100 * 32 * 4
    assert moved["GM->UB"] == 100 * 32 * 4 + 2 * 7 * 32 * 4
    assert moved["UB->GM"] == 100 * 32 * 4


@pytest.mark.parametrize("count", [50_000, 123_457])
def test_trips_that_are_left_out_count_as_if_run(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, mixed = _add(count, cores=2), _product(3000)
    monkeypatch.setattr(timer, "_ENDING", 1 << 30)
    long, every = _add(count, cores=2), _product(3000)
    assert short.cycles == pytest.approx(long.cycles, rel=1e-3)
    assert short.timing.busy == pytest.approx(long.timing.busy, rel=1e-3)
    for line, (number, time) in long.timing.lines.items():
        assert short.timing.lines[line] == pytest.approx((number, time), rel=1e-3)
    assert mixed.cycles == pytest.approx(every.cycles, rel=1e-2)
    assert mixed.timing.busy == pytest.approx(every.timing.busy, rel=2e-2)


@pytest.mark.parametrize("name", names())
def test_every_chip_counts(name: str) -> None:
    chip = load(name)
    assert _add(4096, chip=chip).microseconds > 0
    half = replace(chip, hbm_bytes_per_second=chip.hbm_bytes_per_second / 2, l2_bytes=0)
    assert _add(1 << 22, chip=half).cycles > 1.5 * _add(1 << 22, chip=chip).cycles


# ---- single instructions: shared/design/ascend_chips.md -----------------------------------------

BUFFER = Buffer("t", Memory.UB, 0, 1 << 16)
OTHER = Buffer("u", Memory.UB, (1 << 16) + 256, 1 << 16)
T, U = Ref(BUFFER, F32), Ref(OTHER, F32)
COUNT = integer(64 * 64)


def _cycles(*steps: npu.Step, chip: Chip = CHIP) -> float:
    """Return the busy cycles of V."""
    before: list[npu.Step] = [npu.Fill(t, Literal(0.0, F32), COUNT) for t in (T, U)]
    program = one_step(Memory.UB, [*before, *steps], t=T, u=U)
    alone = one_step(Memory.UB, before, t=T, u=U)
    one, other = (simulate(p, {}, {}, {}, chip).timing.busy["V"] for p in (program, alone))
    return one - other


def _binary(op: str, a: Ref, b: Ref, out: Ref) -> npu.Step:
    return npu.Binary(op, View(out), View(a), View(b), ONE, COUNT)


def test_an_add_takes_22_and_a_cycle_a_repeat() -> None:
    assert _cycles(_binary("add", T, U, T)) == 22 + 64
    assert _cycles(_binary("div", T, U, T)) == 31 + 4 * 64
    assert _cycles(npu.Unary("exp", T, T, COUNT)) == 32 + 2 * 64


def test_two_reads_of_one_bank_group_take_twice_as_long() -> None:
    near = Ref(BUFFER, F32, integer(1 << 12))
    short = integer(1 << 12)
    step = npu.Binary("add", View(U), View(T), View(near), ONE, short)
    assert _cycles(npu.Fill(near, ZERO, short), step) - _cycles(npu.Fill(near, ZERO, short)) == 150


def test_rows_go_as_repeats_where_that_is_shorter() -> None:
    wide, high = integer(2048), integer(64)
    flat = View(T, "full", integer(64))
    assert _cycles(npu.Binary("add", flat, flat, flat, high, integer(64))) == 22 + 64
    assert _cycles(npu.Binary("add", flat, flat, flat, high, integer(8))) == 22 + 64
    rows = View(T, "full", wide)
    assert _cycles(npu.Binary("add", rows, rows, rows, integer(2), wide)) == 2 * (22 + 32)


def test_a_barrier_holds_what_comes_after() -> None:
    steps: list[npu.Step] = [flag(V, MTE2), wait(V, MTE2)]
    plain = one_step(Memory.UB, [npu.Fill(T, ZERO, COUNT)], t=T)
    held = one_step(Memory.UB, [npu.Fill(T, ZERO, COUNT), *steps, Barrier(None)], t=T)
    a, b = (simulate(p, {}, {}, {}, CHIP).cycles for p in (plain, held))
    assert a < b < a + 10


def test_short_rows_and_odd_starts_are_slow() -> None:
    transfer = CHIP.costs.transfers["GM->UB"]

    def cycles(width: int, rows: int, stride: int, slow: float = 1.0) -> float:
        return costs.outside(transfer, width, (rows,), (stride,), 0, slow=slow).cycles

    assert cycles(2048, 64, 24574) > 1.2 * cycles(2048, 64, 24576)
    assert cycles(2048, 64, 24576, 2.0) == 2 * cycles(2048, 64, 24576)
    assert cycles(64, 64, 1024) >= 64 * 64 / transfer.bytes_per_cycle + transfer.row * 64
    assert cycles(512, 64, 512) < 512 * 64 / transfer.bytes_per_cycle + 2 * transfer.row
    assert cycles(32, 1, 32) == transfer.issue
    many = costs.outside(transfer, 128, (64,), (1024,), 0, sharers=48).cycles
    assert many == pytest.approx(64 * 48 * transfer.line)


def _estimate(count: int, **more: object) -> Simulation:
    sizes = dict.fromkeys("xyz", count)
    options = {"chip": CHIP, "dims": {"N": count}} | more
    return estimate(vector_add(2, tile=8192), sizes, **options)  # type: ignore[arg-type]


def test_an_estimate_is_what_a_run_takes() -> None:
    arrays = {n: np.zeros(100_000, np.float32) for n in "xyz"}
    run = simulate(vector_add(2, tile=8192), arrays, {"N": 100_000}, {}, CHIP)
    assert _estimate(100_000).cycles == run.cycles


def test_memory_bounds_large_tensors_and_l2_helps_small_ones() -> None:
    count = 1 << 26
    large = _estimate(count)
    nearly = pytest.approx(12e6 * count / CHIP.hbm_bytes_per_second, rel=0.2)
    assert large.microseconds == nearly
    reads = frozenset("xy")
    assert _estimate(count, warm=True).cycles > large.cycles
    assert _estimate(count // 2, bypass=reads).cycles < 1.1 * _estimate(count // 2).cycles
    small = 1 << 23
    assert _estimate(small, warm=True).cycles < 0.8 * _estimate(small).cycles


def test_the_report_has_the_figures() -> None:
    arrays = {n: np.zeros((100, 90), np.float32) for n in "xy"}
    run = simulate(row_softmax(), arrays, {"M": 100, "N": 90}, {}, CHIP, hazards=True)
    text = run.report()
    assert text.startswith(f"row_softmax on ascend910b3: {run.cycles:,.0f} cycles, ")
    for word in ("7 programs on 7 blocks", "MTE2", "GM->UB", "GB/s", "of 188,416", "instructions"):
        assert word in text
    assert run.microseconds == run.cycles / CHIP.mhz
