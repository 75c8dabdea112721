"""The command line, as its user sees it."""

import json
from pathlib import Path

import pytest

from tests.conftest import Tiledsl
from tiledsl.cli import COMMANDS

EXAMPLES = Path(__file__).parent.parent / "examples"
WRONG = "kernel f(x: f32[N]) -> (y: f32[N]):\n    grid i in N by B\n    y[i] = z[i]\n"
RIGHT = "kernel f(x: f32[N]) -> (y: f32[N]):\n    grid i in N by B\n    y[i] = x[i] + 1\n"


def file(folder: Path, text: str, name: str = "own.tile") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_help_lists_the_commands(tiledsl_command: Tiledsl) -> None:
    status, out, _ = tiledsl_command("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(tiledsl_command: Tiledsl, name: str) -> None:
    status, out, _ = tiledsl_command(name, "--help")
    assert status == 0
    assert "Usage:" in out


def test_check(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    good, bad = file(tmp_path, RIGHT), file(tmp_path, WRONG, "bad.tile")
    assert tiledsl_command("check", good)[0] == 0
    status, _, err = tiledsl_command("check", tmp_path)
    assert status == 1
    assert f"{bad}:3:12: error[N101]" in err
    assert "2 files, 1 error" in err
    status, out, _ = tiledsl_command("check", "--json", bad)
    (found,) = json.loads(out)
    assert (status, found["code"], found["line"], found["column"]) == (1, "N101", 3, 12)


@pytest.mark.parametrize("words", [("check",), ("build", "-t", "numpy"), ("run",), ("test",)])
def test_files_that_are_not_there(
    tiledsl_command: Tiledsl, tmp_path: Path, words: tuple[str, ...]
) -> None:
    status, _, err = tiledsl_command(*words, tmp_path / "none.tile")
    assert status == 1
    assert "none.tile" in err


def test_fmt(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    path = file(tmp_path, RIGHT.replace("x[i] + 1", "x[ i ]+1"))
    status, out, _ = tiledsl_command("fmt", "--check", path)
    assert status == 1
    assert "would change" in out
    status, out, _ = tiledsl_command("fmt", "--diff", path)
    assert status == 0
    assert "+    y[i] = x[i] + 1" in out
    assert tiledsl_command("fmt", path)[0] == 0
    assert path.read_text(encoding="utf-8") == RIGHT
    assert tiledsl_command("fmt", "--check", path) == (0, "", "")


def test_build_for_several_targets(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    targets = ("ascend910b3", "cuda.sm90", "numpy")
    words = [word for target in targets for word in ("--target", target)]
    status, out, err = tiledsl_command(
        "build", EXAMPLES / "softmax.tile:softmax", *words,
        "-o", tmp_path / "out", "--set", "BR=2", "--set", "T=f16",
    )  # fmt: skip
    assert status == 0, err
    for target in targets:
        assert list((tmp_path / "out" / target / "softmax").iterdir())
    assert str(tmp_path / "out" / "cuda.sm90" / "softmax" / "softmax.cu") in out
    assert not list(tmp_path.rglob(".*"))


def test_build_pins_dims_and_constants(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    text = (
        "kernel f(x: f32[M, D], const k: i32) -> (y: f32[M, D]):\n    where D <= 64\n"
        "    grid m in M by BM\n    span d in D\n    y[m, d] = x[m, d] + k\n"
    )
    path = file(tmp_path, text)
    words = ("build", path, "-t", "numpy", "-o", tmp_path / "out")
    assert tiledsl_command(*words, "--set", "D=8", "--set", "k=3")[0] == 0
    assert "k: expected const i32, got nothing" in tiledsl_command(*words)[2]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-t", "ascend"), "no target `ascend`; there are ascend910b1"),
        ((), "give --target"),
        (("-t", "numpy", "--set", "BRR=4"), "nothing is called `BRR`; did you mean `BR`?"),
        (("-t", "numpy", "--set", "BR"), "`BR` has not the form NAME=VALUE"),
        (("-t", "numpy", "--set", "BR=a"), "BR: expected an integer, got `a`"),
        (("-t", "numpy", "--set", "T=f99"), "T: `f99` is no element type"),
        (("--dump-ir", "soup"), "no stage `soup`; there are tree, ir, program, after:"),
    ],
)
def test_wrong_builds(
    tiledsl_command: Tiledsl, tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    status, _, err = tiledsl_command("build", EXAMPLES / "softmax.tile", "-o", tmp_path, *words)
    assert status in (1, 2)
    assert text in err
    assert not list(tmp_path.iterdir())


def test_build_of_an_unknown_kernel(tiledsl_command: Tiledsl) -> None:
    status, _, err = tiledsl_command("build", f"{EXAMPLES / 'softmax.tile'}:sofmax", "-t", "numpy")
    assert status == 1
    assert "did you mean `softmax`?" in err


@pytest.mark.parametrize("stage", ["tree", "ir", "after:drop_dead_code", "program"])
def test_dumps(tiledsl_command: Tiledsl, stage: str) -> None:
    path = f"{EXAMPLES / 'softmax.tile'}:softmax"
    status, out, err = tiledsl_command("build", path, "-t", "ascend910b3", "--dump-ir", stage)
    assert status == 0, err
    assert "softmax" in out


def test_run_compares_with_the_reference(tiledsl_command: Tiledsl) -> None:
    path = f"{EXAMPLES / 'softmax.tile'}:softmax"
    status, out, err = tiledsl_command("run", path, "R=4", "N=100", "T=f16")
    assert status == 0, err
    assert "cycles" in out
    assert "y: f16[4, 100] = " in out
    assert "y: differs from the reference by" in out


def test_run_reads_and_saves_arrays(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    import numpy as np

    path = file(tmp_path, RIGHT)
    np.save(tmp_path / "x.npy", np.arange(5, dtype=np.float32))
    words = ("run", path, f"x={tmp_path / 'x.npy'}", "--save", tmp_path / "out.npz")
    status, _, err = tiledsl_command(*words)
    assert status == 0, err
    with np.load(tmp_path / "out.npz") as saved:
        np.testing.assert_array_equal(saved["y"], np.arange(5) + 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("softmax.tile",), "which kernel?"),
        (("softmax.tile:softmax", "M=3"), "nothing is called `M`"),
        (("softmax.tile:softmax", "N=9000"), "`where N <= 8192` does not hold: N = 9000"),
        (("softmax.tile:softmax", "x=3"), "expected NAME=FILE.npy"),
        (("softmax.tile:softmax", "--device", "tpu"), "device: expected one of"),
    ],
)
def test_wrong_runs(tiledsl_command: Tiledsl, words: tuple[str, ...], text: str) -> None:
    status, _, err = tiledsl_command("run", f"{EXAMPLES}/{words[0]}", *words[1:])
    assert status in (1, 2)
    assert text in err


def test_profile(tiledsl_command: Tiledsl) -> None:
    path = f"{EXAMPLES / 'softmax.tile'}:softmax"
    status, out, _ = tiledsl_command("profile", path, "R=64", "N=128", "--json")
    assert status == 0
    assert json.loads(out)["cycles"] > 0


def test_tests_pass(tiledsl_command: Tiledsl) -> None:
    status, out, err = tiledsl_command("test", EXAMPLES / "vector_add.tile")
    assert status == 0, err
    assert "16 passed, 0 failed" in out


def test_failing_tests_are_shrunk_and_say_how_to_repeat_them(
    tiledsl_command: Tiledsl, tmp_path: Path
) -> None:
    text = RIGHT + "\nreference f:\n    y[n] = x[n] + where(n > 2, 2, 1)\n"
    path = file(tmp_path, text + "\ntest f:\n    for N in (2, 50)\n")
    status, out, _ = tiledsl_command("test", path)
    assert status == 1
    assert "1 passed, 1 failed" in out
    assert "N=4: y: 1 of 4 elements differ, the first at [3]" in out
    assert f"again: tiledsl run {path}:f N=4" in out
    assert tiledsl_command("run", f"{path}:f", "N=4")[0] == 1


def test_tests_that_are_not_there(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    assert "there are no tests" in tiledsl_command("test", file(tmp_path, RIGHT))[2]
    status, _, err = tiledsl_command("test", f"{EXAMPLES / 'gemm.tile'}:gem")
    assert status == 1
    assert "has no kernel `gem`; did you mean `gemm`?" in err


def test_facts(tiledsl_command: Tiledsl) -> None:
    assert "cuda.sm90" in tiledsl_command("targets")[1]
    assert "a + b" in tiledsl_command("ops")[1]
    assert "did you mean `sqrt`?" in tiledsl_command("ops", "sqr")[2]
    assert "python" in tiledsl_command("doctor")[1]
    assert "N101" in tiledsl_command("explain")[1]
    assert "error[N101]" in tiledsl_command("explain", "n101")[1]
    assert tiledsl_command("explain", "X999")[0] == 1
