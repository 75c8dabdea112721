"""What the lowering to the GPU decides: barriers, buffers, fused passes, and what it refuses."""

import pytest

from tests.cuda.harness import SM80, kernel_of, program_of, source_of
from tiledsl import gpu
from tiledsl.diagnostics import CompileError
from tiledsl.gpu.program import Barrier, CopyPanel, Fold, Loop, Map, Multiply, statements

SOFTMAX = """
kernel softmax(x: f16[R, N]) -> (y: f16[R, N]):
    where N <= {limit}
    grid r in R by BR
    span n in N
    e = exp(x[r, n] - max(x[r, n] over n))
    y[r, n] = e / sum(e over n)
"""
ADAM = """
kernel step(inout p: f32[N], g: f32[N], inout m: f32[N], rate: f32):
    grid i in N by BN
    a = 0.9 * m[i] + 0.1 * g[i]
    m[i] = a
    p[i] = p[i] - rate * a
"""


def test_a_costly_tile_is_kept_by_the_pass_that_reduces_it() -> None:
    program = program_of(SOFTMAX.format(limit=1000), 4)
    (total,) = [
        s for s in statements(program.body) if isinstance(s, Fold) and s.reduction.name == "sum"
    ]
    assert [b.name for b in program.buffers if b.optional] == ["e_tile"]
    assert len(total.effects) == 1


def test_a_tile_that_does_not_fit_is_computed_again() -> None:
    program = program_of(SOFTMAX.format(limit=8192), 32)
    assert not [b for b in program.buffers if b.optional]
    assert program.shared_bytes < 1024


def test_what_must_be_kept_and_does_not_fit_is_told() -> None:
    text = """
kernel scan(x: f32[M, N]) -> (y: f32[M, N]):
    where N <= 30000
    grid m in M by BM
    span n in N
    y[m, n] = cumsum(x[m, n] over n)
"""
    assert program_of(text, 1).shared_bytes == 120_000
    with pytest.raises(CompileError) as caught:
        program_of(text, 4)
    (found,) = caught.value.diagnostics
    assert found.code == "S101"
    assert "480,000 bytes of shared memory; a block of cuda.sm80 has 166,912" in found.message
    assert "`BM = 1` (not 4) would fit" in (found.help or "")
    kernel = kernel_of(text)
    assert gpu.choose_tiles(kernel, SM80, {}) == {"BM": 1}
    assert gpu.shared_bytes(kernel, {"BM": 4}, SM80) == 480_000


def test_types_that_a_target_lacks_are_told() -> None:
    with pytest.raises(CompileError) as caught:
        program_of(
            "kernel f(x: i4[N]) -> (y: i4[1] = -8):\n    grid n in N by BN\n"
            "    atomic y[0] max= max(x[n] over n)\n",
            4,
        )
    (found,) = caught.value.diagnostics
    assert found.code == "L101"
    assert found.message == "cuda.sm80 cannot do this yet: an `atomic` store of i4"


def test_stores_over_the_same_ranges_share_a_pass() -> None:
    program = program_of(ADAM, 64)
    (only,) = program.body
    assert isinstance(only, Map)
    assert len(only.effects) == 2


def test_a_sum_over_a_loop_stays_in_registers() -> None:
    text = """
kernel gemm(a: f16[M, K], b: f16[K, N], c: f32[N]) -> (y: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    y[m, n] = max(acc + c[n], 0)
"""
    program = program_of(text, 64)
    loop = next(s for s in program.body if isinstance(s, Loop))
    steps = [type(s) for s in loop.body if not isinstance(s, Barrier)]
    assert steps[1:] == [CopyPanel, CopyPanel, Multiply]
    assert [b.name for b in program.buffers] == ["a_panel", "b_panel"]
    assert sum(isinstance(s, Barrier) for s in loop.body) == 2


def test_a_barrier_stands_between_writing_and_reading_and_no_other() -> None:
    source = source_of(
        """
kernel twice(x: f32[M, N]) -> (y: f32[M], z: f32[M]):
    grid m in M by BM
    span n in 64
    a = sum(x[m, n else 1] over n)
    b = max(x[m, n else 2] over n)
    y[m] = a
    z[m] = b
"""
    )
    body = source.split("programs_; program_ +=")[1].split("}  // namespace")[0]
    # One keeps the results of the program before, one lets the store see the two sums.
    assert body.count("__syncthreads();") == 2


def test_the_program_is_the_same_from_run_to_run() -> None:
    text = SOFTMAX.format(limit=1000)
    assert source_of(text, 8) == source_of(text, 8)
