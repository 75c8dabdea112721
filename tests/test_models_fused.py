"""The example of a decoder layer in 8 launches, at its small size, on every device."""

import llama_fused as example
import pytest
from chain import Chain
from llama_layer import SMALL, TOLERANCE


@pytest.mark.parametrize(
    ("device", "dtype"),
    [("sim", "f32"), ("sim", "f16"), ("sim", "bf16"), ("cuda-host", "f16"), ("ascend-host", "f16")],
)
def test_the_fused_layer_agrees_with_the_model(device: str, dtype: str) -> None:
    separate, fused = example.run(SMALL, dtype, Chain(device, hazards=device == "sim"))
    for apart, together in zip(separate, fused, strict=True):
        assert together.error < TOLERANCE[dtype]
        assert max(together.errors.values()) < 2 * TOLERANCE[dtype]
        assert sum(call.launches for call in together.calls) == 8
        assert sum(call.launches for call in apart.calls) == 17


def test_each_operator_is_in_one_launch() -> None:
    separate, fused = example.run(SMALL, "f16", Chain())
    parts = [name for names in example.PARTS.values() for name in names]
    assert sorted(parts) == sorted(call.operator for call in separate[0].calls)
    assert list(example.PARTS) == [call.operator for call in fused[0].calls]
    *every, total = example.rows(separate[0], fused[0])
    for heading in ("cycles", "cycles ", "bytes", "bytes "):
        numbers = [row[heading] for row in every]
        assert total[heading] == sum(n for n in numbers if isinstance(n, int))
