"""Kernels as operators of PyTorch: opcheck, gradcheck, dtypes, torch.compile, memory."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install tiledsl[torch]")

import tiledsl  # noqa: E402
from tiledsl.driver import load_checked  # noqa: E402
from tiledsl.runtime.arrays import as_array  # noqa: E402
from tiledsl.runtime.cuda_host import run_cuda_host  # noqa: E402
from tiledsl.scalar import Tensor  # noqa: E402
from tiledsl.testing import runner  # noqa: E402
from tiledsl.testing.inputs import Inputs  # noqa: E402
from tiledsl.torch import gpu, register  # noqa: E402
from tiledsl.torch.tensors import to_numpy, to_torch  # noqa: E402

KERNELS = Path(tiledsl.__file__).parent / "kernels"

TEXT = """
kernel twice_padded[T in (f16, f32)](x: T[N], scale: f32 = 2.0) -> (y: T[2 * N + 1], n: i32[N]):
    grid i in N by BN
    y[2 * i] = x[i] * scale
    y[2 * i + 1] = x[i] * scale
    n[i] = i32(x[i])

kernel scale_fixed(x: f32[*R, N], w: f32[N]) -> (y: f32[*R, N]):
    grid r in R by BR, n in N by BN
    y[r, n] = x[r, n] * w[n]

kernel scale_fixed_bwd(x: f32[*R, N], w: f32[N], dy: f32[*R, N]
        ) -> (dx: f32[*R, N], dw: f32[N]):
    grid n in N by BN
    var total: f32[n] = 0
    for r in R by BR:
        g = dy[r, n]
        dx[r, n] = g * w[n]
        total += sum(g * x[r, n] over r)
    dw[n] = total

kernel scale_half_bwd(w: f32[N], dy: f32[*R, N]) -> (dx: f32[*R, N]):
    grid r in R by BR, n in N by BN
    dx[r, n] = dy[r, n] * w[n]

kernel odd_bwd(w: f32[N], error: f32[*R, N]) -> (dx: f32[*R, N]):
    grid r in R by BR, n in N by BN
    dx[r, n] = error[r, n] * w[n]

kernel stray_bwd(dy: f32[*R, N]) -> (dz: f32[*R, N]):
    grid r in R by BR, n in N by BN
    dz[r, n] = dy[r, n]

kernel cube(x: f32[N]) -> (y: f32[N]):
    grid n in N by BN
    y[n] = x[n] * x[n] * x[n]

kernel cube_bwd(x: f32[N], dy: f32[N]) -> (dx: f32[N]):
    grid n in N by BN
    dx[n] = 3 * x[n] * x[n] * dy[n]

kernel cube_bwd_bwd(x: f32[N], dy: f32[N], gdx: f32[N]) -> (grad_x: f32[N], grad_dy: f32[N]):
    grid n in N by BN
    grad_x[n] = 6 * x[n] * dy[n] * gdx[n]
    grad_dy[n] = 3 * x[n] * x[n] * gdx[n]

kernel pooled(x: f32[M], const k: i32 = 2) -> (y: f32[P]):
    where P == M // k, k >= 1
    grid p in P by BP
    y[p] = sum(x[p * k + r else 0] over r in k)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    path = tmp_path_factory.mktemp("torch") / "own.tile"
    path.write_text(TEXT, encoding="utf-8")
    return tiledsl.load(path)


def library(name: str) -> Mapping[str, Any]:
    return tiledsl.load(KERNELS / f"{name}.tile")


def normal(*shape: int, dtype: Any = torch.float32, grad: bool = False) -> Any:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype).requires_grad_(grad)


# ---- the checks of PyTorch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_opcheck_with_gradient(dtype: Any) -> None:
    kernels = library("softmax")
    op = register(kernels["softmax_rows"], backward=kernels["softmax_bwd"])
    torch.library.opcheck(op, (normal(3, 2, 5, dtype=dtype, grad=True),))


def test_opcheck_of_an_op_with_scalars_and_several_outputs() -> None:
    kernels = library("norm")
    op = register(kernels["layer_norm"])
    x, w, b = normal(4, 6), normal(6), normal(6)
    torch.library.opcheck(op, (x, w, b, 1e-3))
    y, mean, rstd = op(x, w, b)
    torch.testing.assert_close(y, torch.nn.functional.layer_norm(x, (6,), w, b))
    assert mean.shape == rstd.shape == (4,)


def test_opcheck_of_an_update_in_place() -> None:
    op = register(library("optimizer")["axpy_inplace"])
    x, y = normal(3, 4).t()[:, 1], normal(8, 2)[::2, 0]  # neither is contiguous
    wanted = 0.5 * x + y
    torch.library.opcheck(op, (normal(4), normal(4), 0.5))
    assert op(x, y, 0.5) is None
    torch.testing.assert_close(y, wanted)


def test_gradcheck(own: Mapping[str, Any]) -> None:
    f64 = torch.float64
    kernels = library("softmax")
    op = register(kernels["softmax_rows"], backward=kernels["softmax_bwd"])
    assert torch.autograd.gradcheck(op, (normal(3, 5, dtype=f64, grad=True),))
    op = register(own["scale_fixed"], backward=own["scale_fixed_bwd"])
    inputs = normal(2, 3, 4, dtype=f64, grad=True), normal(4, dtype=f64, grad=True)
    assert torch.autograd.gradcheck(op, inputs)


def test_gradcheck_where_the_backward_is_an_op_of_two_kernels() -> None:
    kernels = library("norm")
    op = register(kernels["rms_norm"], backward=kernels["rms_norm_bwd"])
    x, w = (normal(*s, dtype=torch.float64, grad=True) for s in ((3, 6), (6,)))
    assert torch.autograd.gradcheck(lambda x, w: op(x, w, 1e-5, 0.0), (x, w))
    torch.library.opcheck(op, (normal(3, 6, grad=True), normal(6, grad=True), 1e-5, 0.0))


@pytest.mark.parametrize("file", sorted(KERNELS.glob("*.tile")), ids=lambda path: path.stem)
def test_every_kernel_of_the_library_is_an_operator(file: Path) -> None:
    """The shapes and types that are foretold are those that come, in the first case of its test."""
    module, kernels = load_checked(file)
    plans = {plan.name: plan for plan in reversed(list(runner.tests_of(module))) if not plan.fails}
    for name, plan in plans.items():
        inputs = Inputs(kernels[name], plan.cases[0], plan, 0)
        dims = {n: size for n, size in inputs.dims.items() if n in inputs.graph.dims}
        op = register(kernels[name], types=inputs.types, dims=dims)
        if any(t.dtype.bits < 8 for t in tensors_of(inputs.graph)):
            with pytest.raises(tiledsl.ArgumentError, match=r"PyTorch has no tensors of [iu]4"):
                op(**{n: _plain(value) for n, value in inputs.arguments.items()})
            continue
        args = {n: _plain(value) for n, value in inputs.arguments.items()}
        if not any(isinstance(value, torch.Tensor) for value in args.values()):
            args["device"] = torch.device("cpu")
        narrow = any(isinstance(v, torch.Tensor) and v.dtype in F8 for v in args.values())
        utils = ("test_faketensor",) if narrow else ("test_schema", "test_faketensor")
        torch.library.opcheck(op, (), args, test_utils=utils)


def tensors_of(graph: Any) -> list[Tensor]:
    return [p for p in (*graph.params, *graph.outputs) if isinstance(p, Tensor)]


# PyTorch's check of the schema multiplies the arguments, which it cannot do in these types.
F8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return to_torch(np.ascontiguousarray(value))
    return value.item() if isinstance(value, np.generic) else value


# ---- what an operator does


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_element_type_chooses_the_kernel(dtype: Any) -> None:
    op = register(library("elementwise")["gelu"])
    x = normal(7, 9, dtype=dtype)
    for tanh in (False, True):
        y = op(x, tanh)
        wanted = torch.nn.functional.gelu(x.double(), approximate="tanh" if tanh else "none")
        assert y.dtype == dtype
        rough = {torch.bfloat16: 1e-2, torch.float16: 1e-3, torch.float32: 1e-5}.get(dtype, 1e-7)
        torch.testing.assert_close(y.double(), wanted, rtol=rough, atol=rough)


def test_a_gradient_comes_in_the_type_of_its_input(own: Mapping[str, Any]) -> None:
    kernels = library("norm")
    op = register(kernels["rms_norm"], backward=kernels["rms_norm_bwd"])
    x, w = normal(3, 6, dtype=torch.float16, grad=True), normal(6, dtype=torch.float16, grad=True)
    op(x, w, 1e-5, 0.0).sum().backward()
    assert x.grad.dtype == w.grad.dtype == torch.float16  # the kernel gives dw in f32


def test_a_missing_gradient_is_an_error_only_where_it_is_needed(own: Mapping[str, Any]) -> None:
    op = register(own["scale_fixed"], backward=own["scale_half_bwd"])
    x = normal(2, 4, grad=True)
    op(x, normal(4)).sum().backward()
    torch.testing.assert_close(x.grad, normal(4).expand(2, 4))
    with pytest.raises(RuntimeError, match="gives no gradient of w"):
        op(x, normal(4, grad=True)).sum().backward()


def test_names_that_mean_nothing_are_refused(own: Mapping[str, Any]) -> None:
    with pytest.raises(tiledsl.ArgumentError, match="called error; there are x, w, y, dy"):
        register(own["scale_fixed"], backward=own["odd_bwd"])
    with pytest.raises(tiledsl.ArgumentError, match="dz is the gradient of no parameter"):
        register(own["scale_fixed"], backward=own["stray_bwd"])


def test_compiled_with_symbolic_sizes(own: Mapping[str, Any]) -> None:
    kernels = library("softmax")
    op = register(kernels["softmax_rows"], backward=kernels["softmax_bwd"])
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    compiled = torch.compile(lambda x: op(x * 2), backend=backend, dynamic=True, fullgraph=True)
    for rows, columns in ((3, 5), (4, 7), (9, 2)):
        x = normal(rows, columns)
        torch.testing.assert_close(compiled(x), torch.softmax(2 * x, -1))
    assert len(graphs) == 1
    whole = torch.compile(lambda x: (op(x) ** 2).sum(), backend="aot_eager", fullgraph=True)
    x = normal(3, 5, grad=True)
    whole(x).backward()
    y = x.detach().requires_grad_()
    (torch.softmax(y, -1) ** 2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_shapes_without_a_run(own: Mapping[str, Any]) -> None:
    op = register(own["pooled"])
    assert op(torch.empty(7, device="meta")).shape == (3,)
    assert op(torch.empty(7, device="meta"), 3).shape == (2,)
    torch.library.opcheck(op, (normal(7), 3))


def test_wrong_arguments_are_named(own: Mapping[str, Any]) -> None:
    op = register(own["scale_fixed"])
    with pytest.raises(tiledsl.ArgumentError, match="w: expected f32"):
        op(normal(2, 4), normal(5))
    with pytest.raises(tiledsl.ArgumentError, match=r"w: expected .* = 4, got 5"):
        op(torch.empty(2, 4, device="meta"), torch.empty(5, device="meta"))
    with pytest.raises(tiledsl.ArgumentError, match="x: expected f32"):
        op(normal(2, 4).int(), normal(4))


# ---- memory


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bool, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16,
        torch.uint32, torch.float16, torch.bfloat16, torch.float32, torch.float64,
        torch.float8_e4m3fn, torch.float8_e5m2,
    ],
)  # fmt: skip
def test_tensors_and_arrays_share_memory(dtype: Any) -> None:
    tensor = torch.arange(12).to(dtype).reshape(3, 4)
    array = to_numpy(tensor)
    assert array.ctypes.data == tensor.data_ptr()
    assert array.shape == (3, 4)
    assert array.flags.writeable
    back = to_torch(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert back.dtype == dtype
    transposed = to_numpy(tensor.t())
    assert transposed.tolist() == tensor.double().t().to(dtype).tolist()
    del tensor, back
    assert array[2, 3] == array.dtype.type(11)  # the array keeps the memory alive


def test_a_kernel_takes_the_arrays_of_others() -> None:
    add = library("elementwise")["vector_add"]

    class Interface:
        def __init__(self, array: Any) -> None:
            self.kept, self.__array_interface__ = array, array.__array_interface__

    x = normal(5, dtype=torch.bfloat16)
    out = add.run({"x": x, "y": x}).outputs["z"]
    torch.testing.assert_close(to_torch(out), x + x)
    z = add(normal(5), Interface(np.ones(5, np.float32)))
    assert np.array_equal(z, normal(5).numpy() + 1)
    scaled = normal(5)
    library("optimizer")["axpy_inplace"].run({"x": normal(5), "y": scaled, "a": 1.0})
    torch.testing.assert_close(scaled, 2 * normal(5))  # updated where it lies


def test_a_tensor_without_axes_is_a_number() -> None:
    leaky = library("elementwise")["leaky_relu"]
    x = -torch.ones(3)
    for slope in (0.5, torch.tensor(0.5), np.float16(0.5), np.array(0.5)):
        assert leaky(x, slope).tolist() == [-0.5] * 3
    with pytest.raises(tiledsl.ArgumentError, match="slope: expected one f32, got Tensor"):
        leaky(x, torch.ones(1))


def test_f64_of_a_gpu_goes_by_the_host() -> None:
    from tiledsl.torch.operator import _Operator

    kernel = library("optimizer")["axpy_inplace"]
    x, y = normal(4, dtype=torch.float64), normal(4, dtype=torch.float64)
    wanted = y + 0.5 * x
    assert _Operator(kernel, "sim", {}, {}, {}, "").on_gpu(x, y, 0.5) is None
    torch.testing.assert_close(y, wanted)


def test_an_exporter_from_before_versions_is_read_only() -> None:
    class Old:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self) -> object:
            return self.array.__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    array = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2]
    taken = as_array("x", Old(array), "f32[N]")
    assert taken.ctypes.data == array.ctypes.data
    assert taken.tolist() == array.tolist()
    with pytest.raises(tiledsl.ArgumentError, match=r"y: is updated in place, but .* read-only"):
        library("optimizer")["axpy_inplace"](array[0], Old(array[1]), 1.0)


def test_a_second_gradient(own: Mapping[str, Any]) -> None:
    register(own["cube_bwd"], backward=own["cube_bwd_bwd"])
    op = register(own["cube"], backward=own["cube_bwd"])
    assert torch.autograd.gradgradcheck(op, (normal(3, dtype=torch.float64, grad=True),))


def test_memory_that_cannot_be_taken_is_said() -> None:
    with pytest.raises(tiledsl.ArgumentError, match=r"x: its memory .* require gradient"):
        as_array("x", normal(3, grad=True), "f32[N]")

    class OnGpu:
        __cuda_array_interface__ = {"data": (0, False)}  # noqa: RUF012

    with pytest.raises(tiledsl.ArgumentError, match="x: is in the memory of a device"):
        as_array("x", OnGpu(), "f32[N]")


# ---- the way to a GPU, walked on the host model


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model of a GPU on the host stand for one: its memory is the host's."""

    def launch(
        program: Any, files: Any, pointers: Any, dims: Any, scalars: Any, stream: int
    ) -> None:
        class Memory:
            def __init__(self, address: int) -> None:
                self.ctypes = type("Address", (), {"data": address})

        arrays: Any = {name: Memory(address) for name, address in pointers.items()}
        assert stream == 7
        run_cuda_host(program, files, arrays, dims, scalars)

    monkeypatch.setattr(gpu, "launch_cuda", launch)
    monkeypatch.setattr(gpu, "target_of", lambda device: "cuda.sm80")
    monkeypatch.setattr(gpu, "current_stream", lambda device: 7)


@pytest.mark.usefixtures("model")
def test_the_way_to_a_gpu() -> None:
    kernels = library("norm")
    kernel = kernels["rms_norm_bwd"]
    x, w, dy = normal(3, 6), normal(6), normal(3, 6) + 1
    given = {"x": x.t().contiguous().t(), "w": w, "dy": dy, "eps": 1e-5}
    wanted = kernel.run({"x": x, "w": w, "dy": dy, "eps": 1e-5}).outputs
    from tiledsl.torch.operator import _Operator

    graph = _Operator(kernel, "sim", {}, {}, {}, "").call((), given).graph
    dx, dw = gpu.run(kernel, graph, given, torch.device("cpu"), {}, {})
    torch.testing.assert_close(dx, to_torch(wanted["dx"]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dw, to_torch(wanted["dw"]), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("model")
def test_the_way_to_a_gpu_of_a_kernel_in_parts() -> None:
    from tiledsl.driver import load_checked, reschedule
    from tiledsl.torch.operator import _Operator

    module, kernels = load_checked(KERNELS / "norm.tile")
    reschedule(module, "layer_norm", "place r in gm")
    kernel = kernels["layer_norm"]
    given = {"x": normal(5, 40), "w": normal(40), "b": normal(40), "eps": 1e-5}
    wanted = kernel.run(given, device="cuda-host")
    assert wanted.launches == 2
    graph = _Operator(kernel, "sim", {}, {}, {}, "").call((), given).graph
    found = gpu.run(kernel, graph, given, torch.device("cpu"), {}, {})
    for tensor, array in zip(found, wanted.outputs.values(), strict=True):
        torch.testing.assert_close(tensor, to_torch(array), rtol=1e-5, atol=1e-6)


def test_the_core_does_not_need_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import tiledsl, numpy as np\n"
        f"add = tiledsl.load({str(KERNELS / 'elementwise.tile')!r})['vector_add']\n"
        "x = np.ones(3, np.float32); assert (add(x, x) == 2).all()\n"
        "try:\n    import tiledsl.torch\n"
        "except ImportError as missing:\n    print(missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'tiledsl[torch]'" in done.stdout
