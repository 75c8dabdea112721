"""Every kernel of examples/ as printed IR, programs, generated files and cycles under golden/.

`pytest tests/test_golden.py --update` accepts what is seen. Generics take their first type. The
headers that every target folder gets are files of the repository, and are not repeated.
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tiledsl.check import Module
from tiledsl.cli.settings import Settings
from tiledsl.cli.stages import stages
from tiledsl.driver import load, load_checked
from tiledsl.ir import OpGraph
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.kernel import Kernel
from tiledsl.testing import runner

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = ROOT / "examples"
NPU, GPU = "ascend910b3", "cuda.sm80"
MOST_BYTES = 400 * 1024


def _kernels() -> Iterator[tuple[Path, str]]:
    """Yield each kernel and op of the examples; the steps of an op are shown with it."""
    for path in sorted(EXAMPLES.glob("*.tile")):
        module = load(path)
        graphs = {name: _graph(kernel) for name, kernel in module.items()}
        ops = [graph for graph in graphs.values() if isinstance(graph, OpGraph)]
        inside = {step.kernel.name for graph in ops for step in graph.steps}
        yield from ((path, name) for name in module if name not in inside)


def _graph(kernel: Kernel) -> object:
    return kernel.instance(first_binding(kernel.header, {}, {}, {}))


KERNELS = {name: path for path, name in _kernels()}


@pytest.mark.parametrize("name", KERNELS)
def test_golden(name: str, update: bool) -> None:
    folder, seen = GOLDEN / name, files(KERNELS[name], name)
    if update:
        for path in _kept(folder):
            if path not in seen:
                (folder / path).unlink()
        for path, text in seen.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return
    for path, text in seen.items():
        assert (folder / path).exists(), f"{folder / path} is missing: pytest --update writes it"
        assert text == (folder / path).read_text(encoding="utf-8"), f"{folder / path}"
    assert _kept(folder) == sorted(seen), "a file is left over: pytest --update removes it"


def test_golden_is_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < MOST_BYTES
    assert sorted(KERNELS) == sorted(p.name for p in GOLDEN.iterdir()), "a kernel has gone"


def test_where_one_stands_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.path.relpath(KERNELS["layer_norm"], tmp_path))
    seen = files(path, "layer_norm")
    assert seen == files(KERNELS["layer_norm"], "layer_norm")
    assert not any(str(ROOT) in text for text in seen.values())


@cache
def files(path: Path, name: str) -> dict[str, str]:
    """Return what a kernel becomes, by the name of the file that keeps it."""
    module, kernels = load_checked(path)
    kernel = kernels[name]
    seen = {"ir.txt": _stage(kernel, "ir")}
    for target in (NPU, GPU):
        seen[f"program.{target}.txt"] = _stage(kernel, "program", target)
    for target in (NPU, GPU, "numpy"):
        for file, text in kernel.build(target).items():
            if not Path(file).name.startswith("tiledsl_"):
                seen[f"{target}/{file}"] = text
    seen["cycles.txt"] = _cycles(module, kernel)
    return seen


def _stage(kernel: Kernel, stage: str, *targets: str) -> str:
    return "\n".join(stages(kernel, Settings(), targets, stage)).rstrip() + "\n"


def _cycles(module: Module, kernel: Kernel) -> str:
    """Return how long the last case with the first types takes."""
    plan = next(p for p in runner.tests_of(module) if p.name == kernel.name and not p.fails)
    first = {generic: choices[0] for generic, choices in kernel.generics.items()}
    case = [c for c in plan.cases if first.items() <= dict(c.values).items()][-1]
    outcome = runner.run_case(module, kernel, plan, case, runner.Options())
    assert not outcome.failure, outcome.failure
    assert outcome.result is not None
    return f"{case}: {outcome.result.cycles} cycles on {NPU}\n"


def _kept(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
