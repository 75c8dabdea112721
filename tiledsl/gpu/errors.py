"""What a GPU cannot do, said in the words of the ``.tile`` file."""

from dataclasses import dataclass

from tiledsl.diagnostics import Diagnostic
from tiledsl.schedule import would_fit


@dataclass(frozen=True)
class NotOnGpu(Diagnostic):
    """A construct that the lowering to CUDA has no form for."""

    code = "L101"
    target: str
    what: str
    way_out: str = ""

    @property
    def message(self) -> str:
        """Name the target and the construct."""
        return f"{self.target} cannot do this yet: {self.what}"

    @property
    def help(self) -> str | None:
        """Say what can be written instead, where something can."""
        return self.way_out or None


@dataclass(frozen=True)
class OverShared(Diagnostic):
    """The tiles of a kernel do not fit the shared memory of a block."""

    code = "S101"
    target: str
    capacity: int
    needed: int
    rows: tuple[tuple[str, str, int], ...]
    sizes: tuple[tuple[str, int], ...]
    fitting: tuple[tuple[str, int], ...] = ()

    @property
    def message(self) -> str:
        """Give the two numbers."""
        return (
            f"the tiles need {self.needed:,} bytes of shared memory; a block of {self.target} "
            f"has {self.capacity:,}"
        )

    @property
    def notes(self) -> tuple[tuple[None, str], ...]:
        """Tabulate what lives there: tile, shape, bytes."""
        name = max([len(n) for n, _, _ in self.rows] + [4])
        shape = max([len(s) for _, s, _ in self.rows] + [5])
        lines = [f"{'tile':{name}}  {'shape':{shape}}  {'bytes':>9}"]
        lines += [f"{n:{name}}  {s:{shape}}  {b:>9,}" for n, s, b in self.rows]
        return ((None, "\n".join(lines)),)

    @property
    def help(self) -> str | None:
        """Name the largest sizes that fit, or the sizes that could be smaller."""
        if self.fitting:
            return would_fit(self.fitting, dict(self.sizes))
        if not self.sizes:
            return "bound the span more tightly, or loop over it: `for n in N by BN:`"
        now = ", ".join(f"{name} = {value}" for name, value in self.sizes)
        return f"use smaller tiles than {now}, or leave them out: sizes that fit are then taken"
