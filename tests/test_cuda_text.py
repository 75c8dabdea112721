"""The text that is emitted: names and comments of the ``.tile`` file cannot break it."""

import subprocess
from pathlib import Path

import pytest

from tests.cuda.harness import program_of, source_of
from tiledsl.backends import cuda
from tiledsl.backends.cuda.statements import comment
from tiledsl.backends.cuda.view import c_string
from tiledsl.backends.cuda.words import number
from tiledsl.gpu.names import RESERVED, Names
from tiledsl.runtime.cuda_host import host_library
from tiledsl.types import DType

NAMES = """
# Ends a comment: */ and goes on \\
# {{ kernel }} {% for %} ??/
kernel asm(register: f32[NULL, EOF], tdsl: f32[EOF], EOF_: f32[1], int32_t: f32) -> (
        double: f32[NULL, EOF], threadIdx: f32[NULL]):
    grid signed in NULL by BM, union in EOF by BN
    template = register[signed, union] * tdsl[union] + int32_t  # */ {{ x }}
    private = exp(template) + f32(union)
    double[signed, union] = private
    atomic threadIdx[signed] += sum(private over union)
""".replace("threadIdx: f32[NULL]", "threadIdx: f32[NULL] = 0")


def test_names_of_cpp_are_renamed() -> None:
    program = program_of(NAMES, 16)
    source = cuda.emit(program)["asm.cu"]
    host_library(program, cuda.emit(program))
    assert "{{" in source
    assert "tiledsl_asm" in source


def test_names_are_taken_once() -> None:
    names = Names()
    assert [names.take("x"), names.take("x"), names.take("x_1")] == ["x", "x_1", "x_1_1"]
    taken = [names.take(w) for w in ("int", "2d", "a__b", "_", "x_", "cudaFree")]
    assert taken == ["int_1", "v2d", "a_b", "v", "x_2", "v_cudaFree"]
    assert not any(name in RESERVED or name.endswith("_") for name in taken)


@pytest.mark.parametrize(
    ("text", "safe"),
    [("a */ b", "a * / b"), ("end \\", "end"), ("tab\there", "tab here"), ("/* x", "/ * x")],
)
def test_comments_cannot_end_early(text: str, safe: str) -> None:
    assert comment(text) == safe


def test_strings_are_escaped() -> None:
    assert c_string('a "b" \\ ?\n') == 'a \\"b\\" \\\\ \\?\\012'
    assert c_string("\u00e4") == "\\303\\244"


@pytest.mark.parametrize(
    ("value", "dtype", "word"),
    [
        (1, DType.F32, "1.0f"),
        (0.1, DType.F32, "0.1f"),
        (1e-6, DType.F32, "1e-06f"),
        (float("-inf"), DType.F32, "-INFINITY"),
        (float("nan"), DType.F16, "NAN"),
        (70000, DType.F16, "INFINITY"),
        (0.1, DType.F16, "0.099975586f"),
        (0.1, DType.F64, "0.1"),
        (-(2**31), DType.I32, "(-2147483647 - 1)"),
        (3, DType.I8, "int8_t(3)"),
        (2**32 - 1, DType.U32, "4294967295u"),
        (True, DType.BOOL, "true"),
    ],
)
def test_numbers(value: float, dtype: DType, word: str) -> None:
    assert number(value, dtype) == word


def test_the_launcher_checks_facts() -> None:
    source = source_of(
        """
kernel f(x: f32[N], k: i32) -> (y: f32[N]):
    where N <= 100, k > 0
    grid n in N by BN
    y[n] = x[n] / k
"""
    )
    assert "if (!(N <= 100)) return 2;" in source
    assert 'case 3: return "it must hold that k > 0";' in source


def test_the_c_header_is_c(tmp_path: Path) -> None:
    files = cuda.emit(program_of(NAMES, 16))
    (tmp_path / "cuda_runtime_api.h").write_text("typedef struct stream* cudaStream_t;\n")
    (tmp_path / "asm.h").write_text(files["asm.h"])
    (tmp_path / "use.c").write_text('#include "asm.h"\nint main(void) { return 0; }\n')
    command = ["gcc", "-std=c99", "-Wall", "-Werror", "-I.", "-fsyntax-only", "use.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
