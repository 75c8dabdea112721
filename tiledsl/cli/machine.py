"""What this machine has."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, whether it is there, and whether tiledsl needs it."""

    name: str
    found: bool
    text: str
    needed: bool = False


def findings() -> list[Finding]:
    """Return what was looked for, in the order in which it is shown."""
    packages = ("numpy", "ml_dtypes", "lark", "jinja2", "click")
    return [
        Finding("python", True, platform.python_version(), needed=True),
        *(_package(name) for name in packages),
        _compiler("g++", "the host models of NPU and GPU", ["g++", "-dumpfullversion"]),
        _compiler("nvcc", "CUDA C on a device", ["nvcc", "--version"]),
        _gpu(),
        _cann(),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name), needed=True)
    except PackageNotFoundError:
        return Finding(name, False, f"pip install {name}", needed=True)


def _compiler(name: str, use: str, command: list[str]) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, False, f"is for {use}")
    last = (_output(command).splitlines() or [""])[-1]
    return Finding(name, True, f"{path}, {last}")


def _gpu() -> Finding:
    names = _output(["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"])
    found = ", then ".join(names.splitlines())
    return Finding("GPU", bool(found), found or "`--device cuda` needs one")


def _cann() -> Finding:
    home = os.environ.get("ASCEND_HOME_PATH") or os.environ.get("ASCEND_TOOLKIT_HOME")
    for place in filter(None, (home, "/usr/local/Ascend/ascend-toolkit/latest")):
        if Path(place).is_dir():
            return Finding("CANN", True, place)
    return Finding("CANN", False, "compiles Ascend C for a device; ASCEND_HOME_PATH names it")


def _output(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
