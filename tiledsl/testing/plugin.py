"""The pytest plugin: every case of every ``test`` item in a collected ``.tile`` file is a test.

Tests written in Python have the fixtures ``tile_kernel`` and ``assert_matches_reference``. The
plugin imports the rest of tiledsl only when it meets a file, or a fixture is asked for.
"""

from argparse import BooleanOptionalAction
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tiledsl.testing.cases import Case, Plan
    from tiledsl.testing.fixtures import KernelUnderTest
    from tiledsl.testing.runner import Options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``tiledsl test``."""
    group = parser.getgroup("tiledsl")
    group.addoption(
        "--tile-device",
        action="append",
        default=[],
        help="where kernels run: sim (the default), ascend-host, cuda-host, cuda; or several",
    )
    group.addoption("--tile-chip", help="the target, if not the device's usual one")
    group.addoption(
        "--tile-hazards",
        action=BooleanOptionalAction,
        default=True,
        help="look for missing flags and the like in the simulator",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses ``tile_device``, or a fixture that does, on each device that was asked for."""
    if "tile_device" in metafunc.fixturenames:
        metafunc.parametrize("tile_device", _devices(metafunc.config), scope="session")


@pytest.fixture
def tile_kernel(
    request: pytest.FixtureRequest, tile_device: str
) -> "Callable[[str | Path], KernelUnderTest]":
    """Return what loads a kernel, ``tile_kernel("gemm.tile:gemm")``, for the device of the run.

    Paths are relative to the test's file; ``"std:attention:flash_attention"`` is the library's.
    What it gives is called on arrays and numbers, or its ``run`` tells cycles, too.
    """
    from tiledsl.testing.fixtures import kernel_under_test

    options = _options(request.config, tile_device)
    return partial(kernel_under_test, folder=request.path.parent, options=options)


@pytest.fixture
def assert_matches_reference() -> Callable[..., object]:
    """Return `tiledsl.testing.fixtures.assert_matches_reference`."""
    from tiledsl.testing import fixtures

    return fixtures.assert_matches_reference


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
                for device in _devices(self.config):
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
        from tiledsl.testing.runner import repeat_command, run_case, shrink

        assert isinstance(self.parent, TileFile)
        options = _options(self.config, self.device)
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


def _devices(config: pytest.Config) -> list[str]:
    return list(config.getoption("--tile-device")) or ["sim"]


def _options(config: pytest.Config, device: str) -> "Options":
    from tiledsl.testing.runner import Options

    chip, hazards = config.getoption("--tile-chip"), config.getoption("--tile-hazards")
    return Options(device, chip, hazards=bool(hazards))


def _text(path: Path) -> str:
    try:
        return "\n" + path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
