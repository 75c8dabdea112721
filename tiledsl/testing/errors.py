"""What is wrong with a ``test``, found while it runs."""

from dataclasses import dataclass
from typing import ClassVar

from tiledsl.diagnostics import Diagnostic


@dataclass(frozen=True)
class BadTest(Diagnostic):
    """A line of a test cannot be followed."""

    code: ClassVar[str] = "E002"
    what: str

    @property
    def message(self) -> str:
        """Say what."""
        return f"the test cannot run: {self.what}"
