"""What a wrong program is told: each NAME.tile under ui/ earns the text of NAME.stderr."""

from pathlib import Path

import pytest

from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.syntax.parser import parse, read_source

UI = Path(__file__).parent / "ui"
PROGRAMS = sorted(UI.rglob("*.tile"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(UI)))
def test_wrong_program(path: Path, update: bool) -> None:
    expected = path.with_suffix(".stderr")
    if not expected.exists() and not update:
        pytest.skip("imported by another program")
    seen = "\n".join(found.render() for found in diagnostics(path))
    seen = seen.replace(f"{path.parent}/", "")
    if update:
        if seen:
            expected.write_text(seen, encoding="utf-8")
        return
    assert seen == expected.read_text(encoding="utf-8")


def diagnostics(path: Path) -> list[Diagnostic]:
    if path.parent.name == "parse":
        try:
            parse(read_source(path))
        except CompileError as error:
            return list(error.diagnostics)
        return []
    from tiledsl.driver import check_file, load_checked

    if path.parent.name != "targets":
        return check_file(path)
    target = path.read_text(encoding="utf-8").partition("# target: ")[2].partition("\n")[0]
    (kernel,) = load_checked(path)[1].values()
    with pytest.raises(CompileError) as caught:
        kernel.build(target)
    return list(caught.value.diagnostics)
