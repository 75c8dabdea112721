"""The emitted text: stable, readable, and safe whatever the ``.tile`` file says."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.ascend.harness import Bench, N, hand_over, random, run
from tiledsl import scalar as sc
from tiledsl.backends import ascend
from tiledsl.backends.ascend.names import Names, identifier
from tiledsl.backends.ascend.scalars import Scalars, literal
from tiledsl.npu import program as npu
from tiledsl.npu.program import Queue
from tiledsl.scalar import (
    Apply,
    Dim,
    Element,
    Literal,
    Local,
    ParamValue,
    Tensor,
    add,
    apply,
    integer,
    mul,
)
from tiledsl.source import Source, Span
from tiledsl.types import DType

F32, I32 = DType.F32, DType.I32

STUBS = {
    "acl/acl.h": """
        #include <cstddef>
        typedef void *aclrtStream; typedef int aclError; constexpr int ACL_SUCCESS = 0;
        enum aclrtMemcpyKind { ACL_MEMCPY_HOST_TO_BUF_TO_DEVICE = 5 };
        extern "C" aclError aclrtMemcpyAsync(
            void *, size_t, const void *, size_t, aclrtMemcpyKind, aclrtStream);
    """,
    "aclrtlaunch_sample.h": """
        #include <cstdint>
        #define ACLRT_LAUNCH_KERNEL(name) aclrtlaunch_##name
        template <typename... A>
        uint32_t aclrtlaunch_sample(uint32_t, aclrtStream, A...) { return 0; }
    """,
    "tiling/platform/platform_ascendc.h": """
        #include <cstdint>
        namespace platform_ascendc {
        struct PlatformAscendC { uint32_t GetCoreNumAic(); uint32_t GetCoreNumAiv(); };
        struct PlatformAscendCManager { static PlatformAscendC *GetInstance(); };
        }
    """,
}


def sample(line: str = "y[i] = x[i] + s", doc: str = "", **more: object) -> npu.Program:
    """Return ``y = x + s`` in a persistent loop over programs of 64 elements."""
    bench = Bench()
    a = bench.buffer("x", 64, F32)
    x, y = bench.tensor("x", F32, N), bench.tensor("y", F32, N, role="out")
    span = Span(Source("/somewhere/sample.tile", f"kernel\n{line}\n"), 7, 7 + len(line))
    start, size = Local("start"), Local("size")
    body: tuple[npu.Step, ...] = (
        npu.Let("start", mul(Local("program"), 64)),
        npu.Let("size", sc.minimum(integer(64), sc.sub(N, start))),
        npu.CopyIn(a, npu.Global(x, start), (), (), (), size, span=span),
        *hand_over(Queue.MTE2, Queue.V),
        npu.WithScalar("add", a, a, ParamValue("s", F32), size, span=span),
        *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y, start), a, (), (), (), size, span=span),
        *hand_over(Queue.MTE3, Queue.MTE2),
    )
    programs = sc.ceil_div(N, 64)
    loop = npu.For("program", Local("block"), programs, Local("blocks"), body, "grid i in N by 64")
    fields: dict[str, object] = {"scalars": (("s", F32),), "programs": programs, "doc": doc}
    return bench.program([loop], ["N"], **(fields | more))


def test_the_persistent_loop() -> None:
    for cores in (1, 3, 40):
        for count in (0, 1, 64, 1000):
            x, y = random(F32, count), np.zeros(count, np.float32)
            run(sample(), {"x": x, "y": y}, {"N": count}, {"s": 1.5}, cores=cores)
            np.testing.assert_array_equal(y, x + np.float32(1.5))


def test_the_same_program_gives_the_same_text() -> None:
    assert ascend.emit(sample()) == ascend.emit(sample())


def test_the_kernel_reads_like_the_program() -> None:
    text = ascend.emit(sample())["sample.cpp"]
    body = text[text.index("    // grid i") : text.index('extern "C"')]
    assert (
        body.strip()
        == """\
// grid i in N by 64
    for (int32_t program = block; program < (N + 63) / 64; program += blocks) {
        const int32_t start = program * 64;
        const int32_t size = tdsl::Min(64, N - start);
        // sample.tile:2: y[i] = x[i] + s
        tdsl::CopyIn(At<float>(x_2), x[start], size, 0);
        SetFlag<HardEvent::MTE2_V>(0);
        WaitFlag<HardEvent::MTE2_V>(0);
        tdsl::AddScalar(At<float>(x_2), At<float>(x_2), s, size);
        SetFlag<HardEvent::V_MTE3>(0);
        WaitFlag<HardEvent::V_MTE3>(0);
        tdsl::CopyOut(y[start], At<float>(x_2), size);
        SetFlag<HardEvent::MTE3_MTE2>(0);
        WaitFlag<HardEvent::MTE3_MTE2>(0);
    }
}"""
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "y = x  */ int evil; /*",
        "y = x \\",
        "y = x ??/",
        "y = x\u2028\x0b#error",
        "{{ kernel }} {% x %}",
    ],
)
def test_comments_hold_nothing_but_words(hostile: str) -> None:
    files = ascend.emit(sample(hostile, doc=f"{hostile}\n{hostile}"))
    text = files["sample.cpp"]
    assert not re.search(r"\\\s*$", text, re.M)
    assert "*/" not in text
    assert "??/" not in text
    assert "#error" not in "\n".join(x for x in text.split("\n") if not x.strip().startswith("//"))
    x, y = random(F32, 10), np.zeros(10, np.float32)
    program = sample(hostile, doc=hostile)
    run(program, {"x": x, "y": y}, {"N": 10}, {"s": 0.0})
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    "name", ["int", "class", "half", "tiling", "PIPE_V", "exp", "__x", "tdsl", "a"]
)
def test_names_that_a_target_cannot_use(name: str) -> None:
    bench = Bench()
    a = bench.buffer(name, 64, F32)
    x, y = bench.tensor(name, F32, Dim(f"{name}")), bench.tensor("y", F32, Dim(name), role="out")
    size = Local(name)
    body = [
        npu.Let(name, Dim(name)),
        npu.CopyIn(a, npu.Global(x), (), (), (), size),
        *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), a, (), (), (), size),
    ]
    got = np.zeros(9, np.float32)
    values = random(F32, 9)
    program = bench.program(body, [name], name=identifier(name) if name.startswith("_") else name)
    run(program, {name: values, "y": got}, {name: 9})
    np.testing.assert_array_equal(got, values)


def test_identifiers() -> None:
    names = Names()
    assert names.of("tensor", "x") == names.of("tensor", "x") == "x"
    assert names.of("buffer", "x") == "x_2"
    assert identifier("exp") == "exp_"
    assert identifier("2 fast") == "v2_fast"


def test_the_host_launcher_compiles(tmp_path: Path) -> None:
    table = Tensor("table", F32, (integer(3),), "table", values=(0.5, 1.0, float("inf")))
    program = sample()
    program = npu.Program(
        program.name, program.chip, (*program.tensors, table), program.scalars, program.dims,
        program.programs, program.cores, (npu.Workspace("w", F32, 10, 2),),
    )  # fmt: skip
    for name, text in (ascend.emit(program) | STUBS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Werror", f"-I{tmp_path}"]
    done = subprocess.run(
        [*command, str(tmp_path / "sample_host.cpp")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_tables_are_read_on_the_device() -> None:
    bench = Bench()
    a = bench.buffer("a", 64, F32)
    table = Tensor("table", F32, (integer(3),), "table", values=(0.5, 1.5, -2.0))
    y = bench.tensor("y", F32, N, role="out")
    bench.tensors.append(table)
    scale = Element(table, (sc.sub(N, integer(9)),), F32, Literal(7.0, F32), (True,))
    body = [
        npu.Fill(a, scale, N),
        *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y), a, (), (), (), N),
    ]
    for count, want in ((10, 1.5), (11, -2.0), (12, 7.0), (8, 7.0)):
        got = np.zeros(count, np.float32)
        run(bench.program(body, ["N"]), {"y": got}, {"N": count})
        assert (got == want).all()


def test_functions_of_parameters_are_computed_by_the_host() -> None:
    bench = Bench()
    a = bench.buffer("a", 64, F32)
    y = bench.tensor("y", F32, N, role="out")
    s = ParamValue("s", F32)
    value = apply("mul", Apply("exp", (Apply("neg", (Apply("log", (s,), F32),), F32),), F32), s)
    body = [
        npu.Fill(a, value, N),
        *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y), a, (), (), (), N),
    ]
    got = np.zeros(5, np.float32)
    run(bench.program(body, ["N"], scalars=(("s", F32),)), {"y": got}, {"N": 5}, {"s": 3.0})
    np.testing.assert_allclose(got, 1.0, rtol=1e-6)


def spoken(scalar: sc.Scalar, wide: bool = False, natural: frozenset[str] = frozenset()) -> str:
    scalars = Scalars(Names(), natural, {})
    return scalars.wide(scalar) if wide else scalars.text(scalar)


def test_scalars_in_words() -> None:
    i, j = Local("i"), Local("j")
    assert spoken(mul(add(i, j), 3)) == "(i + j) * 3"
    assert spoken(sc.sub(i, sc.sub(j, integer(1)))) == "i - (j - 1)"
    assert spoken(apply("floordiv", i, integer(4))) == "tdsl::FloorDiv(i, 4)"
    assert spoken(apply("floordiv", i, integer(4)), natural=frozenset("i")) == "i / 4"
    assert spoken(add(mul(i, j), integer(1)), wide=True) == "int64_t(i) * j + 1"
    assert spoken(add(mul(i, 64), j), wide=True) == "int64_t(i) * 64 + j"
    assert spoken(apply("where", apply("lt", i, j), i, integer(0))) == "i < j ? i : 0"
    assert spoken(apply("mul", Local("b", F32), Literal(0.1, F32))) == "b * 0.1f"
    assert spoken(Apply("cast", (i,), DType.F16)) == "tdsl::RoundToHalf(i)"
    assert spoken(Apply("cast", (Local("b", F32),), DType.I8)) == "tdsl::Saturate<int8_t>(b)"


def test_literals() -> None:
    assert literal(float("-inf"), F32) == "-tdsl::kInf"
    assert literal(1.0, F32) == "1.0f"
    assert literal(1e-6, F32) == "1e-06f"
    assert literal(2**31 - 1, I32) == "2147483647"
    assert literal(-(2**31), I32) == "(-2147483647 - 1)"
    assert literal(2**40, DType.I64) == "1099511627776LL"
    assert literal(True, DType.BOOL) == "true"


SCALARS: list[tuple[sc.Scalar, float]] = [
    (apply("floordiv", ParamValue("i", I32), integer(4)), -2),
    (apply("mod", ParamValue("i", I32), integer(4)), 1),
    (apply("floordiv", ParamValue("i", I32), integer(0)), 0),
    (apply("mod", ParamValue("i", I32), apply("neg", integer(4))), -3),
    (apply("shr", ParamValue("i", I32), integer(1)), -4),
    (Apply("cast", (Literal(300.7, F32),), DType.I8), 127),
    (Apply("round", (Literal(2.5, F32),), F32), 2),
    (Apply("round", (Literal(-3.5, F32),), F32), -4),
    (Apply("floor", (Literal(-0.5, F32),), F32), -1),
    (Apply("cast", (Literal(0.1, F32),), DType.F16), float(np.float16(0.1))),
    (Apply("pow", (integer(3), integer(4)), I32), 81),
    (Apply("isnan", (Literal(float("nan"), F32),), DType.BOOL), 1),
    (apply("max", Literal(float("nan"), F32), Literal(1.0, F32)), float("nan")),
    (Apply("popcount", (ParamValue("i", I32),), I32), 30),
]


def test_scalars_have_the_value_of_the_language() -> None:
    bench = Bench()
    a = bench.buffer("a", 8, F32)
    y = bench.tensor("y", F32, integer(len(SCALARS)), integer(8), role="out")
    body: list[npu.Step] = []
    for at, (scalar, _) in enumerate(SCALARS):
        body += [
            npu.Fill(a, Apply("cast", (scalar,), F32), integer(8)), *hand_over(Queue.V, Queue.MTE3),
            npu.CopyOut(npu.Global(y, integer(8 * at)), a, (), (), (), integer(8)),
            *hand_over(Queue.MTE3, Queue.V),
        ]  # fmt: skip
    got = np.zeros((len(SCALARS), 8), np.float32)
    run(bench.program(body, [], scalars=(("i", I32),)), {"y": got}, {}, {"i": -7})
    np.testing.assert_array_equal(got[:, 0], np.array([w for _, w in SCALARS], np.float32))


def test_templates_only_lay_out() -> None:
    for template in (ascend.HERE / "templates").glob("*.j2"):
        for expression in re.findall(r"{{(.*?)}}", template.read_text(), re.S):
            plain = expression.strip("- ").strip()
            assert re.fullmatch(r"[a-z_0-9.]+|\", \" if .*", plain), (template.name, expression)
