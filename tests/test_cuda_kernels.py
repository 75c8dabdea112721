"""Every construct, compiled to CUDA C++ and run on the host model, against the oracle."""

import math

import pytest

from tests.cuda.harness import assert_close, both
from tests.cuda.kernels import CASES

MOST = 120_000  # the work that tiles of 3 can be given: they are slow


@pytest.mark.parametrize("size", [3, 16, None])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_oracle(name: str, size: int | None) -> None:
    case = CASES[name]
    for seed, dims in enumerate(case.dims):
        if size == 3 and math.prod(dims.values()) > MOST:
            continue
        kernel, got, want = both(case.text, size, dims, case.scalars, case.inputs, seed)
        for tensor in kernel.tensors:
            where = f"{tensor.name} of {name} for {dims}"
            assert_close(got[tensor.name], want[tensor.name], tensor.dtype, where)
