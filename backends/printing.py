"""Lines that a kernel prints, as format strings of C: nothing in their text is obeyed."""

from collections.abc import Iterable

from tiledsl.types import DType


def format_string(text: str, dtypes: Iterable[DType]) -> str:
    """Return the literal of a format for ``text``, whose ``{}`` are values of ``dtypes``."""
    kinds = [conversion(dtype) for dtype in dtypes]
    pieces = [literal(piece.replace("%", "%%")) for piece in text.split("{}")]
    assert len(pieces) == len(kinds) + 1, text
    joined = pieces[0] + "".join(k + p for k, p in zip(kinds, pieces[1:], strict=True))
    return f'"{joined}\\n"'


def fixed_string(text: str, *, is_format: bool) -> str:
    """Return the literal of a line that says ``text``, or of a format for it."""
    return f'"{literal(text.replace("%", "%%") if is_format else text)}\\n"'


def conversion(dtype: DType) -> str:
    """Return how a value is shown: integers and truth values as numbers."""
    if dtype.is_float:
        return "%f"
    return {DType.I64: "%ld", DType.U32: "%u"}.get(dtype, "%d")


def argument(text: str, dtype: DType) -> str:
    """Return a value as its conversion takes it."""
    if dtype.is_float:
        return f"float({text})"
    kind = {DType.I64: "long", DType.U32: "uint32_t"}.get(dtype, "int32_t")
    return f"{kind}({text})"


def literal(text: str) -> str:
    """Return the inside of a string literal; bytes beyond ASCII in octal, no trigraphs."""
    out: list[str] = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\?':
            out.append(f"\\{char}")
        elif char == "\n":
            out.append("\\n")
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return "".join(out)
