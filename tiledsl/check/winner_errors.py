"""What is told about the winners of searches, which are kept in ``NAME.tune.toml``."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tiledsl.diagnostics import Diagnostic


@dataclass(frozen=True)
class BadWinners(Diagnostic):
    """A file of winners that cannot be read, or says what makes no sense."""

    code: ClassVar[str] = "S133"
    reason: str

    @property
    def message(self) -> str:
        """Say what is wrong with it."""
        return self.reason

    @property
    def help(self) -> str | None:
        """Say where such files come from."""
        return (
            "`tiledsl tune FILE:KERNEL NAME=VALUE... --write` writes such files; "
            "without the file a build chooses sizes by itself"
        )


@dataclass(frozen=True)
class UnusedWinner(Diagnostic):
    """Winners of a search that a build leaves, for they are not about the kernel of today."""

    code: ClassVar[str] = "W603"
    severity: ClassVar[Literal["error", "warning"]] = "warning"
    kernel: str
    reason: str
    command: str

    @property
    def message(self) -> str:
        """Name the kernel, and why they are left."""
        return f"these winners for `{self.kernel}` are not used: {self.reason}"

    @property
    def help(self) -> str | None:
        """Give the command that finds new ones."""
        return f"search again: `{self.command}`"
