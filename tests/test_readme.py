"""What the README shows is what its commands print; numbers out of floats may differ in a digit."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(first: str) -> list[str]:
    """Return the lines of the block that has ``first``, without those that stand for others."""
    (found,) = [b for b in re.findall(r"```\w*\n(.*?)```", README, re.S) if first in b]
    return [x for x in found.splitlines() if x and x[0] not in "$y" and x.strip() != "…"]


def tiledsl(*words: str | Path) -> tuple[int, str]:
    """Return the exit status of a command, and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tiledsl", *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_run() -> None:
    file = f"{ROOT / 'examples' / 'softmax.tile'}:softmax"
    status, out = tiledsl("run", file, "R=64", "N=1000", "T=f16")
    assert status == 0
    wanted = block("softmax on ascend910b3")
    assert len(wanted) > 10
    assert [line for line in wanted if line not in out.splitlines()] == []


def test_the_first_kernel(tmp_path: Path) -> None:
    (text,) = re.findall(r"```\n(# Rows scaled into.*?)```", README, re.S)
    file = tmp_path / "scale.tile"
    file.write_text(text, encoding="utf-8")
    status, out = tiledsl("check", file)
    assert status == 1
    assert "unknown name `k`" in out
    file.write_text(text.replace("abs(v) over k)", "abs(v) over n)"), encoding="utf-8")
    status, out = tiledsl("profile", file, "M=64", "N=1000", "T=f16")
    assert status == 0
    assert [x for x in block("scale_rows on ascend910b3") if x.strip() not in out] == []
