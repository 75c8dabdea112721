"""The grammar of the tile language, as text that Lark reads."""

from pathlib import Path

PATH = Path(__file__).with_name("tile.lark")


def text() -> str:
    """Return the grammar."""
    return PATH.read_text(encoding="utf-8")
