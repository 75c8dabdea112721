"""The example of a decoder layer, at its small size: values on every device, in every type."""

import llama_layer as example
import pytest
from chain import Chain


@pytest.mark.parametrize("dtype", example.DTYPES)
def test_the_layer_agrees_with_its_model(dtype: str) -> None:
    phases = example.run(example.SMALL, dtype, Chain(hazards=True))
    assert len(phases) == 1 + example.SMALL.steps
    for phase in phases:
        assert phase.error < example.TOLERANCE[dtype]
        for operator, error in phase.errors.items():
            assert error < 2 * example.TOLERANCE[dtype], operator
        assert {call.operator for call in phase.calls} == set(phase.errors)
        assert all(call.cycles > 0 and call.moved > 0 for call in phase.calls)


def test_a_wrong_page_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = example.Cache.slots
    monkeypatch.setattr(example.Cache, "slots", lambda *args: (right(*args) + 4) % 16)
    *_, last = example.run(example.SMALL, "f32", Chain())
    assert last.error > 0.01


@pytest.mark.parametrize("device", ["cuda-host", "ascend-host"])
def test_the_devices_agree(device: str) -> None:
    for phase in example.run(example.SMALL, "f16", Chain(device)):
        assert phase.error < example.TOLERANCE["f16"]
