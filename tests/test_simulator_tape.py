"""Tapes: what they compute is what the instructions compute, one after the other."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiledsl
from tests.npu_samples import product_and_bias, row_softmax, vector_add
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.runtime.binding import specialise
from tiledsl.runtime.kernel import Kernel
from tiledsl.runtime.launch import prepare as bind
from tiledsl.simulator import values
from tiledsl.simulator.core import prepare
from tiledsl.simulator.known import compute, known_of
from tiledsl.simulator.places import Number
from tiledsl.simulator.tape.plan import Tape, record
from tiledsl.simulator.tape.storage import Piece, Root, Split, joined
from tiledsl.simulator.values import load

EXAMPLES = Path(__file__).parent.parent / "examples"
DRAW = np.random.default_rng(0)


def _both(
    program: Program, arrays: dict[str, Array], dims: dict[str, int],
    scalars: dict[str, Number] | None = None,
) -> Iterator[tuple[Array, Array]]:  # fmt: skip
    """Yield each array as tapes leave it, and as single instructions do."""
    other = {name: array.copy() for name, array in arrays.items()}
    launch = prepare(program, arrays, dims, scalars or {})
    runnable = load(program)
    known = known_of(runnable, launch)
    for _ in range(2):  # recorded, and remembered
        compute(runnable, launch, known)
    assert known.tapes
    values.run(program, other, dims, scalars or {})
    for name, array in arrays.items():
        yield array, other[name]


@given(count=st.integers(1, 9000), depth=st.integers(1, 3))
@settings(max_examples=30)
def test_vector_add(count: int, depth: int) -> None:
    x, y = DRAW.standard_normal((2, count)).astype(np.float32)
    arrays = {"x": x, "y": y, "z": np.full(count, np.nan, np.float32)}
    for got, want in _both(vector_add(depth, tile=2048), arrays, {"N": count}):
        np.testing.assert_array_equal(got, want)


@given(rows=st.integers(1, 200), cols=st.integers(1, 128))
@settings(max_examples=30)
def test_row_softmax(rows: int, cols: int) -> None:
    x = DRAW.standard_normal((rows, cols)).astype(np.float32)
    arrays = {"x": x, "y": np.full_like(x, np.nan)}
    for got, want in _both(row_softmax(), arrays, {"M": rows, "N": cols}):
        np.testing.assert_array_equal(got, want)


@given(rows=st.integers(1, 100), depth=st.integers(1, 64), slots=st.integers(1, 3))
@settings(max_examples=30)
def test_product_and_bias(rows: int, depth: int, slots: int) -> None:
    def halves(*shape: int) -> Array:
        return DRAW.standard_normal(shape).astype(np.float16)

    arrays: dict[str, Array] = {
        "a": halves(rows, depth), "b": halves(depth, 32), "bias": np.ones(32, np.float32),
        "y": np.zeros((rows, 32), np.float32),
    }  # fmt: skip
    for got, want in _both(product_and_bias(slots), arrays, {"M": rows, "K": depth}):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def _tapes(name: str, shapes: dict[str, tuple[int, ...]]) -> list[Tape]:
    """Return the tapes of a kernel of the examples."""
    kernels = {
        n: kernel for path in EXAMPLES.glob("*.tile") for n, kernel in tiledsl.load(path).items()
    }
    return _recorded(kernels[name], {n: np.ones(s, np.float32) for n, s in shapes.items()})


def _recorded(kernel: Kernel, arrays: Mapping[str, Array]) -> list[Tape]:
    graph = kernel.instance(specialise(kernel.header, dict(arrays), {}))
    program = kernel.compiled(graph, "ascend910b3", {})[0].program
    assert isinstance(program, Program)
    bound = bind(graph, arrays, {})
    launch = prepare(program, bound.arrays, bound.dims, bound.scalars)
    runnable = load(program)
    groups = values.classes(runnable, launch)
    return [record(runnable.functions, runnable.indices, launch, group) for group in groups]


def test_a_vector_add_is_one_call() -> None:
    (tape,) = _tapes("vector_add", {"x": (1 << 20,), "y": (1 << 20,)})
    assert [step.function for step in tape.steps] == [np.add]
    assert tape.size == 0


def test_softmax_works_in_place() -> None:
    (tape,) = _tapes("softmax", {"x": (1024, 4096)})
    assert len(tape.steps) == 5
    assert tape.size < 1.1 * 1024 / tape.count * 4096 * 4


@pytest.mark.parametrize("text", ["clamp({}, -1.0, 2.0)", "min(max({}, -1.0), 2.0)"])
def test_two_ends_are_one_call(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f.tile"
    body = f"    grid n in N by 64\n    y[n] = {text.format('x[n] * 2.0')} + 1.0\n"
    path.write_text(f"kernel f(x: f32[N]) -> (y: f32[N]):\n{body}", encoding="utf-8")
    kernel = tiledsl.load(path)["f"]
    x = np.array([-5.0, -0.0, 0.25, 3.0, np.nan, np.inf, -np.inf] * 64, np.float32)
    np.testing.assert_array_equal(kernel(x), np.clip(x * 2, -1, 2) + 1)
    for tape in _recorded(kernel, {"x": x}):
        assert [step.function for step in tape.steps] == [np.multiply, np.clip, np.add]


def test_a_tensor_that_is_also_the_result_is_left_alone_until_it_was_read() -> None:
    x = DRAW.standard_normal(5000).astype(np.float32)
    program = vector_add(2, tile=2048)
    arrays = {"x": x, "y": np.ones(5000, np.float32), "z": x}
    launch = prepare(program, arrays, {"N": 5000}, {})
    want = x + 1
    compute(load(program), launch, known_of(load(program), launch))
    np.testing.assert_array_equal(x, want)


def test_what_is_printed_is_printed_each_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "told.tile"
    path.write_text(
        "kernel f(x: f32[N]) -> (y: f32[N]):\n    grid i in N by BN\n"
        '    print("from {}", start(i))\n    y[i] = x[i] + 1\n',
        encoding="utf-8",
    )
    kernel = tiledsl.load(path)["f"]
    for _ in range(3):
        kernel.run([np.zeros(20, np.float32)], tiles={"BN": 8}, hazards=True)
        assert sorted(capfd.readouterr().out.split()) == ["0", "16", "8", *["from"] * 3]


@pytest.mark.parametrize("half", [False, True])
@given(data=st.data())
def test_pieces_find_what_stands_in_a_buffer(half: bool, data: st.DataObject) -> None:
    item = 2 if half else 4
    rows, cols = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    gap, shift = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 2))
    wide = 4 if half else item
    pitch = (cols + gap) * item
    root = Root(10_000)
    inner = (cols + shift) * wide
    dims = [(rows, pitch, inner), (cols, item, wide)]
    start = 64
    piece = Piece(start, start + (rows - 1) * pitch + cols * item, joined(dims, item), item, root,
                  8, half)  # fmt: skip
    there = {
        start + r * pitch + c * item: 8 + r * inner + c * wide
        for r in range(rows)
        for c in range(cols)
    }
    first = start + data.draw(st.integers(-1, rows * cols)) * item
    many = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 8))
    strides = data.draw(st.sampled_from([0, item, pitch, 2 * item])), item
    asked = tuple(zip(many, strides, strict=True))
    found = piece.find(first, asked, item, np.dtype(np.float32 if half else np.int32))
    want = [
        [there.get(first + i * strides[0] + j * item) for j in range(many[1])]
        for i in range(many[0])
    ]
    if isinstance(found, Split):
        assert found.axis == 1
        assert many[1] % found.inner == 0
    elif found is not None:
        (_, down), (_, across) = found.dims
        got = [
            [found.offset + i * down + j * across for j in range(many[1])] for i in range(many[0])
        ]
        assert got == want


def test_launches_of_equal_sizes_are_remembered() -> None:
    program = vector_add(2, tile=64)
    runnable, found = load(program), []
    for count in (100, 200, 100):
        arrays = {name: np.ones(count, np.float32) for name in "xyz"}
        found.append(known_of(runnable, prepare(program, arrays, {"N": count}, {})))
    assert found[0] is found[2]
    assert found[0] is not found[1]
