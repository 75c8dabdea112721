"""The pytest plugin: every case of every ``test`` item in a collected ``.tile`` file is a test.

It is the tests' own user of the public side of tiledsl, and imports it only when it meets a file.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tiledsl.testing.cases import Case, Plan


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``tiledsl test``."""
    group = parser.getgroup("tiledsl")
    group.addoption(
        "--tile-device",
        action="append",
        default=[],
        help="where tests of .tile files run: sim, ascend-host, cuda-host, cuda",
    )
    group.addoption("--tile-hazards", action="store_true", help="look for hazards in the simulator")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "TileFile | None":
    """Collect ``.tile`` files that have tests."""
    if file_path.suffix != ".tile" or "\ntest " not in _text(file_path):
        return None
    collected: TileFile = TileFile.from_parent(parent, path=file_path)
    return collected


class TileFile(pytest.File):
    """A ``.tile`` file: its tests, for each device that was asked for."""

    def collect(self) -> Iterator["TileCase"]:
        """Yield a test for each case."""
        from tiledsl.driver import load_checked
        from tiledsl.testing.runner import tests_of

        self.module, self.kernels = load_checked(self.path)
        for plan in tests_of(self.module):
            for case in plan.cases:
                for device in self.config.getoption("--tile-device") or ["sim"]:
                    name = f"{plan.name}[{device}: {case}]"
                    yield TileCase.from_parent(self, name=name, plan=plan, case=case, device=device)


class TileCase(pytest.Item):
    """One case of a test on one device."""

    def __init__(self, *, plan: "Plan", case: "Case", device: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.plan = plan
        self.case = case
        self.device = device

    def runtest(self) -> None:
        """Run it; a failure is shrunk and told with the command that repeats it."""
        from tiledsl.testing.runner import Options, repeat_command, run_case, shrink

        assert isinstance(self.parent, TileFile)
        hazards = bool(self.config.getoption("--tile-hazards"))
        options = Options(self.device, hazards=hazards and self.device == "sim")
        kernel = self.parent.kernels[self.plan.name]
        again = partial(run_case, self.parent.module, kernel, self.plan, options=options)
        outcome = again(self.case)
        if outcome.failure:
            smallest = shrink(outcome, again)
            command = repeat_command(str(self.path), self.plan, smallest.case, options)
            raise TileFailure(f"{smallest.case}: {smallest.failure}\nagain: {command}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Return the failure without the frames of the runner."""
        if isinstance(excinfo.value, TileFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test stands, for pytest's lists."""
        return self.path, None, self.name


class TileFailure(Exception):  # noqa: N818  it is what pytest calls a failure
    """A case failed."""


def _text(path: Path) -> str:
    try:
        return "\n" + path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
