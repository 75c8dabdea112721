"""NVIDIA's compiler takes what is emitted, and spills nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tiledsl
from tiledsl.driver import load_checked
from tiledsl.testing import runner

ROOT = Path(__file__).parent.parent
NVCC = shutil.which("nvcc")
ARCHITECTURES = {"cuda.sm80": "sm_80", "cuda.sm90": "sm_90a"}
QUICK = ("gemm", "flash_attention")
pytestmark = pytest.mark.skipif(NVCC is None, reason="there is no nvcc on this machine")


def compile_all(files: dict[str, str], target: str, folder: Path) -> None:
    """Compile each ``.cu`` and fail on an error or a spill."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name in (n for n in files if n.endswith(".cu")):
        flags = [f"-arch={ARCHITECTURES[target]}", "-std=c++17", "-Xptxas", "-v", "-c"]
        command = [str(NVCC), *flags, str(folder / name), "-o", str(folder / "out.o")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
        assert spills, done.stderr
        assert not any(map(int, spills)), f"{name} for {target}: {done.stderr}"


@pytest.mark.parametrize("target", ARCHITECTURES)
@pytest.mark.parametrize("name", QUICK)
def test_examples(name: str, target: str, tmp_path: Path) -> None:
    module = tiledsl.load(ROOT / "examples" / f"{name}.tile")
    compile_all(module[name].build(target), target, tmp_path)


@pytest.mark.parametrize("target", ARCHITECTURES)
@pytest.mark.parametrize(
    "path", sorted((ROOT / "tiledsl" / "kernels").glob("*.tile")), ids=lambda p: p.stem
)
def test_library(path: Path, target: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--slow"):
        pytest.skip("slow: some seconds a kernel; `pytest --slow` runs it")
    module, kernels = load_checked(path)
    cases = {plan.name: plan.cases[0].values for plan in runner.tests_of(module)}
    for name, kernel in kernels.items():
        wanted = {p.name for p in kernel.params if p.kind == "const"}
        first = {n: v for n, v in cases.get(name, ()) if n in wanted and not isinstance(v, str)}
        compile_all(kernel.build(target, consts=first), target, tmp_path / name)
