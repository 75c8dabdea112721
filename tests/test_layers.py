"""Imports point one way, from the command line to the source text, as docs/architecture.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each layer may import itself and the layers above it in this list.
LAYERS = (
    ("source", "types", "scalar", "grammar"),
    ("diagnostics",),
    ("ops", "chips"),
    ("syntax",),
    ("ir", "ir_text"),
    ("check", "passes"),
    ("schedule",),
    ("npu", "gpu"),
    ("backends", "simulator"),
    ("runtime", "reference", "testing"),
    ("driver", "torch"),
    ("tuning",),
    ("cli", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# The pytest plugin and its fixtures are used by tests, not by tiledsl: they stand on the driver.
OUTSIDE = {"tiledsl/testing/plugin.py", "tiledsl/testing/fixtures.py"}


def _files() -> list[Path]:
    tops = ("tiledsl", "grammar", "backends", "simulator")
    found = {path.resolve() for top in tops for path in (ROOT / top).rglob("*.py")}
    return sorted(path for path in found if path != ROOT / "tiledsl" / "__init__.py")


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_up(path: Path) -> None:
    name = path.relative_to(ROOT)
    parts = name.with_suffix("").parts
    layer = parts[1] if parts[0] == "tiledsl" else parts[0]
    assert layer in RANK, f"{layer} has no place in LAYERS"
    if str(name) in OUTSIDE:
        return
    wrong = [other for other in imported(path) if RANK[other] > RANK[layer]]
    assert not wrong, f"{layer} must not import {', '.join(wrong)}"


def imported(path: Path) -> Iterator[str]:
    """Yield the layers that a file imports, also inside functions; type checking does not count."""
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module="tiledsl", names=names):
                yield from (alias.name for alias in names if alias.name in RANK)
            case ast.ImportFrom(module=str(module)) if module.startswith("tiledsl."):
                yield module.split(".")[1]
            case _:
                pass


def _running(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _running(child)


def test_no_file_is_long() -> None:
    long = {p.name: n for p in _files() if (n := p.read_text(encoding="utf-8").count("\n")) > 650}
    assert not long
