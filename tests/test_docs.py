"""The pages of the manual that are read off the code say what the code says."""

import re
import shlex
from pathlib import Path

import pytest

from tiledsl.cli import main
from tiledsl.cli.manual import errors_page, ops_page

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize(
    ("name", "page", "command"),
    [
        ("ops.md", ops_page, "tiledsl ops --markdown"),
        ("errors.md", errors_page, "tiledsl explain --markdown"),
    ],
)
def test_pages_are_fresh(name: str, page: object, command: str) -> None:
    assert callable(page)
    seen = (DOCS / name).read_text(encoding="utf-8")
    assert seen == page(), f"run `{command} > docs/{name}`"


def test_fused_against_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page on profiles prints of a kernel and of its parts is what the command prints."""
    page = (DOCS / "profile.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", page, re.S)
    (text,) = [block for block in blocks if "kernel gemm_gelu" in block]
    ((command, shown),) = [b.split("\n", 1) for b in blocks if b.startswith("$") and "gelu" in b]
    (tmp_path / "ffn.tile").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(command.removeprefix("$ ")))
    main()
    assert capsys.readouterr().out == shown
    monkeypatch.setattr("sys.argv", [*shlex.split(command.removeprefix("$ ")), "K=512"])
    main()
    (times,) = re.findall(r"At K=512 .* (\S+) times as long", page, re.S)
    assert f"takes {times} times as long" in capsys.readouterr().out


def test_a_search_and_what_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page on tile sizes prints is what the command prints, and what it writes."""
    page = (DOCS / "tuning.md").read_text(encoding="utf-8")
    text, command, kept = re.findall(r"```\n(.*?)```", page, re.S)
    command, shown = command.split("\n", 1)
    (tmp_path / "proj.tile").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILEDSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", shlex.split(command.removeprefix("$ ")))
    main()
    assert capsys.readouterr().out == shown
    assert (tmp_path / "proj.tune.toml").read_text(encoding="utf-8") == kept
