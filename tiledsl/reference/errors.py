"""What is wrong with a ``reference``, found while it is evaluated."""

from dataclasses import dataclass
from typing import ClassVar

from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.source import Span


@dataclass(frozen=True)
class BadReference(Diagnostic):
    """The evaluator cannot give this piece of a reference a meaning."""

    code: ClassVar[str] = "E001"
    what: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Say what."""
        return f"the reference cannot be evaluated: {self.what}"

    @property
    def help(self) -> str | None:
        """Say what to write instead."""
        return self.hint or None


def fail(span: Span, what: str, hint: str = "") -> CompileError:
    """Return the error to raise."""
    return CompileError([BadReference(span, what, hint)])
