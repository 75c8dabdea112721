"""The tables of the examples."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parent.parent / "examples" / "tables.py"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


def test_columns_stand_under_each_other(tables: ModuleType) -> None:
    rows = [{"layer": "conv", "cycles": 12345}, {"layer": "add", "cycles": 1, "error": 0.0012345}]
    assert tables.markdown(rows) == [
        "| layer | cycles |   error |",
        "| ----- | -----: | ------: |",
        "| conv  | 12,345 |         |",
        "| add   |      1 | 0.00123 |",
    ]


def test_a_page_is_printed_and_written(
    tables: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    page = tables.Page("Title", "python x.py", file)
    page.table("First", [{"a": 1}], notes=["A note."])
    page.table("Second", [{"b": "two"}])
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n`python x.py`, ")
    assert text.endswith("A note.\n\n## Second\n\n| b    |\n| ---- |\n| two  |\n")
    assert capsys.readouterr().out.strip() == text.strip()
