"""Programs broken in one place: what the check of hazards and the values miss, nothing else may."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.npu_samples import vector_add
from tiledsl.chips import load
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import with_blocks
from tiledsl.scalar import integer, sub
from tiledsl.simulator import HazardError, simulate

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module: ModuleType = pytest.importorskip("mutants")
    return module


@pytest.mark.parametrize("name", ["vector_add", "softmax", "fold"])
def test_broken_programs_are_caught(mutants: ModuleType, name: str) -> None:
    subject = next(s for s in mutants.subjects() if s.name == name)
    right = mutants.run(subject, subject.program)
    verdicts = [
        (what, mutants.judge(subject, program, right))
        for _, what, program in mutants.some(subject.program, 2)
    ]
    assert verdicts
    assert [what for what, verdict in verdicts if verdict == "missed"] == []


def test_an_output_that_is_not_all_written() -> None:
    """The last element of each tile stays as it was."""

    def shorter(step: npu.Step) -> npu.Step:
        if isinstance(step, npu.CopyOut):
            return npu.CopyOut(
                step.dst, step.src, (), (), (), sub(step.length, integer(1)), span=step.span
            )
        return step

    program = vector_add(2)
    cores = tuple(
        npu.CoreProgram(c.core, c.buffers, with_blocks(c.body, shorter)) for c in program.cores
    )
    worse = npu.Program(
        program.name, program.chip, program.tensors, program.scalars, program.dims,
        program.programs, cores, uniform=program.uniform,
    )  # fmt: skip
    arrays = {n: np.zeros(600, np.float32) for n in "xyz"}
    with pytest.raises(HazardError, match="element 255 of `z` is never written"):
        simulate(worse, arrays, {"N": 600}, {}, load("ascend910b3"), hazards=True)
