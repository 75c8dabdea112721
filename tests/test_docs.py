"""The pages of the manual that are read off the code say what the code says."""

from pathlib import Path

import pytest

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
