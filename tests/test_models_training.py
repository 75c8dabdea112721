"""The example that trains a linear layer, at its small size, on every device."""

import numpy as np
import pytest
import training_step as example
from chain import Chain


@pytest.fixture(scope="module")
def steps() -> list[example.Step]:
    return example.train(example.SMALL, Chain(hazards=True))


def test_a_step_with_overflow_is_skipped_and_halves_the_scale(steps: list[example.Step]) -> None:
    first, second = steps[:2]
    assert first.skipped
    assert not second.skipped
    assert second.scale == first.scale / 2
    assert sum(step.skipped for step in steps) < len(steps) / 2


def test_a_skipped_step_changes_no_parameter() -> None:
    batch = example.batches(example.SMALL, 1)[0]
    state = example.start(example.SMALL, batch)
    before = example.start(example.SMALL, batch)
    example.kernel_step(Chain(), state, *batch)
    for name in ("w", "b", "wh", "bh", "mw", "vw", "mb", "vb", "decay"):
        np.testing.assert_array_equal(getattr(state, name), getattr(before, name))
    assert state.scale[0] == before.scale[0] / 2
    assert state.found[0] == 0


def test_the_scale_grows_again(steps: list[example.Step]) -> None:
    taken = [n for n, step in enumerate(steps) if not step.skipped]
    after = taken[example.INTERVAL - 1] + 1
    assert steps[after].scale == 2 * steps[after - 1].scale


def test_the_kernels_take_the_steps_of_the_model(steps: list[example.Step]) -> None:
    for step in steps:
        for name, error in step.errors.items():
            assert error < (0.05 if name.startswith("AdamW") else 4e-3), name
    assert steps[-1].loss < 0.8 * steps[0].loss


@pytest.mark.parametrize("device", ["cuda-host", "ascend-host"])
def test_the_devices_agree(device: str) -> None:
    first, second, third = example.train(example.SMALL, Chain(device), 3)
    assert first.skipped
    for step in (second, third):
        assert not step.skipped
        assert max(step.errors.values()) < 0.05
