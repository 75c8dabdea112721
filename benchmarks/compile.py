"""What compiling costs, in CPU time: `python benchmarks/compile.py`.

Parse and check of 200 lines; a build for each example and target in this process; a cold build for
three targets, as `tiledsl build` in a process of its own.
"""

import atexit
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import tiledsl
from tiledsl.check import Module, check_module, load_module, load_text
from tiledsl.driver import ModuleCompiler
from tiledsl.runtime.kernel import Kernel

EXAMPLES = Path(__file__).parent.parent / "examples"
TARGETS = ("ascend910b3", "cuda.sm90", "numpy")
REPEAT = 5


def main() -> None:
    """Print a line a figure."""
    print(f"parse and check, 200 lines: {milliseconds(check_200_lines):.1f} ms")
    worst = 0.0
    for path in sorted(EXAMPLES.glob("*.tile")):
        for name in tiledsl.load(path):
            times = {t: milliseconds(partial(build, path, name, t)) for t in TARGETS}
            shown = "  ".join(f"{target} {time:6.1f} ms" for target, time in times.items())
            if name in ops(path):
                shown += "  an op, all its kernels"
            else:
                worst = max(worst, *times.values())
            print(f"build {name:20} {shown}")
    print(f"build, worst kernel and target: {worst:.1f} ms (goal 20)")
    for name in ("softmax.tile:softmax", "gemm.tile:gemm"):
        seconds = statistics.median(cold(name) for _ in range(REPEAT))
        print(f"cold build of {name}, three targets: {seconds:.2f} s (goal 0.35)")


@cache
def ops(path: Path) -> frozenset[str]:
    """Return the names of a file's operators of several kernels."""
    return frozenset(load_module(path).ops)


def check_200_lines() -> None:
    """Check the examples' texts, repeated under other names up to 200 lines."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.tile"))]
    lines = "\n".join(texts).splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    rest = [line for line in lines if not line.startswith("from ")]
    whole = [block for block in "\n".join(rest).split("\n\n") if block.strip()]
    chosen: list[str] = []
    while len("\n\n".join(chosen).splitlines()) < 200 and whole:
        chosen.append(whole.pop(0))
    known = "\n".join(chosen)
    used = [
        line for line in imports if any(word in known for word in line.split("import")[1].split())
    ]
    check_module(load_text("\n".join([*used, *chosen, ""]), "bench.tile"))


def build(path: Path, name: str, target: str) -> None:
    """Build with a new `Kernel`, so that nothing is kept from the last time."""
    header = _module(path).kernels.get(name) or _module(path).ops[name]
    Kernel(header.item, ModuleCompiler(_module(path))).build(target)


@cache
def _module(path: Path) -> Module:
    return load_module(path)


def milliseconds(work: Callable[[], None]) -> float:
    """Return the median CPU time of ``work``, warm."""
    work()
    times = []
    for _ in range(REPEAT):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def cold(name: str) -> float:
    """Return the CPU time of a process that builds for three targets.

    Python has compiled the modules before, as it has on any machine after the first run.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [word for target in TARGETS for word in ("-t", target)]
        command = [sys.executable, "-m", "tiledsl", "build", str(EXAMPLES / name), *words]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "-o", folder, "-q"], check=True, env=environment())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


@cache
def environment() -> dict[str, str]:
    """Return an environment in which Python keeps its bytecode, warmed by one run."""
    kept = tempfile.mkdtemp(prefix="tiledsl-bytecode-")
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    found = {**os.environ, "PYTHONPYCACHEPREFIX": kept}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        words = [word for target in TARGETS for word in ("-t", target)]
        command = [sys.executable, "-m", "tiledsl", "build", str(EXAMPLES / "gemm.tile"), *words]
        subprocess.run([*command, "-o", folder, "-q"], check=True, env=found)
    return found


if __name__ == "__main__":
    main()
