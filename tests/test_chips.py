"""Every chip's file holds what the model needs."""

import pytest

from tiledsl.chips import UnknownChipError, load, names

KINDS = {
    "add", "mul", "max", "scalar", "exp", "ln", "sqrt", "abs", "logic", "div", "div16", "cast",
    "compare", "select", "spread", "copy", "fill", "iota", "reduce", "gather", "transpose", "tail",
    "scalar_read", "block_reduce",
}  # fmt: skip
PATHS = {"GM->UB", "UB->GM", "GM->L1", "L1->L0A", "L1->L0B", "L0C->GM"}


@pytest.mark.parametrize("name", names())
def test_a_chip_is_complete(name: str) -> None:
    chip = load(name)
    assert chip.name == name
    assert set(chip.memories) == {"UB", "L1", "L0A", "L0B", "L0C"}
    assert 0 < chip.ub_usable <= chip.memories["UB"]
    assert set(chip.costs.vector) == KINDS
    assert set(chip.costs.transfers) == PATHS | (set() if chip.separate else {"UB->L1"})
    assert all(t.bytes_per_cycle > 0 for t in chip.costs.transfers.values())
    assert all(macs > 0 for macs in chip.cube_macs.values())
    assert chip.separate == (chip.vector_cores == 2 * chip.cube_cores)


def test_names_and_aliases() -> None:
    assert {f"ascend910b{i}" for i in (1, 2, 3, 4)} | {"ascend310p"} <= set(names())
    assert load("ascend910b").name == "ascend910b3"
    assert load("ascend310p").cube_types == ("f16", "i8")


def test_an_unknown_chip_is_told_what_was_meant() -> None:
    with pytest.raises(UnknownChipError, match=r"`ascend910b9`; did you mean `ascend910b"):
        load("ascend910b9")
