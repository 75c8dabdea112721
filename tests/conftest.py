"""Options of the test run, and the command line as a fixture."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tiledsl.cli import main

Tiledsl = Callable[..., tuple[int, str, str]]

settings.register_profile("quick", max_examples=100, deadline=None)
settings.register_profile("slow", max_examples=2000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="accept what was seen as expected")
    parser.addoption("--slow", action="store_true", help="try many more random programs")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.getoption("--slow") else "quick")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite the files of expected text."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def tiledsl_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tiledsl:
    """Run the command line; return the exit status and what it printed."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tiledsl", *map(str, words)])
        status: object = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        seen = capsys.readouterr()
        assert isinstance(status, int)
        assert "Traceback" not in seen.err
        return status, seen.out, seen.err

    return run
