"""The example of a decoder layer in bytes, at its small size, on every device."""

import llama_int8 as example
import numpy as np
import pytest
from chain import Chain
from llama_layer import OUTPUT, SMALL, TOLERANCE


@pytest.mark.parametrize("device", ["sim", "cuda-host", "ascend-host"])
def test_errors_stay_small(device: str) -> None:
    pairs = example.run(SMALL, Chain(device, hazards=device == "sim"))
    assert len(pairs) == 1 + SMALL.steps
    for pair in pairs:
        assert pair.halves.error < TOLERANCE["f16"]
        in_bytes, in_halves, apart = pair.errors()[OUTPUT]
        assert in_bytes.relative < example.RELATIVE
        assert in_bytes.cosine > example.COSINE
        assert in_halves.relative < in_bytes.relative / 5
        assert apart.relative < example.RELATIVE


def test_operators_that_are_in_both_stand_side_by_side() -> None:
    first, *_ = example.run(SMALL, Chain())
    rows = {row["operator"]: row for row in example.costs(first)}
    assert rows["projection q"]["f16 kernel"] == "matmul_nt"
    assert rows["projection q"]["int8 kernel"] == "int8_linear"
    assert rows["SwiGLU to bytes"]["cycles"] is None
    every = [row["cycles "] for name, row in rows.items() if name != "sum"]
    assert rows["sum"]["cycles "] == sum(int(n) for n in every if n is not None)


def test_weights_come_back_within_half_a_step() -> None:
    w = np.random.default_rng(0).standard_normal((7, 50)).astype(np.float16)
    q, scale = example.quantised({"q": w, "norm": w[0]})["q"]
    assert q.dtype == np.int8
    assert np.abs(q * scale[:, None] - w).max() <= scale.max() * 0.5001


def test_errors_are_told() -> None:
    off = example.error(np.array([1.0, 0.0, 0.1]), np.array([1.0, 0.0, 0.0]))
    assert off.largest == pytest.approx(0.1)
    assert off.relative == pytest.approx(0.1)
    assert off.cosine == pytest.approx(1 / np.sqrt(1.01))
