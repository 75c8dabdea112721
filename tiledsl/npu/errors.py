"""What the NPU cannot do, said in the words of the ``.tile`` file."""

from dataclasses import dataclass

from tiledsl.diagnostics import Diagnostic
from tiledsl.schedule import would_fit


@dataclass(frozen=True)
class NotOnTarget(Diagnostic):
    """A construct that this target's lowering has no instruction for."""

    code = "L001"
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
class OverCapacity(Diagnostic):
    """The tiles of a kernel do not fit a memory of the chip."""

    code = "S001"
    target: str
    memory: str
    capacity: int
    needed: int
    rows: tuple[tuple[str, str, int, str], ...]
    sizes: tuple[tuple[str, int], ...]
    spans: tuple[tuple[str, int], ...] = ()
    fitting: tuple[tuple[str, int], ...] = ()

    @property
    def message(self) -> str:
        """Give the two numbers."""
        has = f"{self.target} has {self.capacity:,}"
        return f"the tiles need {self.needed:,} bytes of {self.memory}; {has}"

    @property
    def notes(self) -> tuple[tuple[None, str], ...]:
        """Tabulate what lives there: tile, shape, bytes, lines of its life."""
        width = max([len(name) for name, *_ in self.rows] + [4])
        shape = max([len(s) for _, s, *_ in self.rows] + [5])
        lines = [f"{'tile':{width}}  {'shape':{shape}}  {'bytes':>9}  lines"]
        lines += [f"{n:{width}}  {s:{shape}}  {b:>9,}  {life}" for n, s, b, life in self.rows]
        return ((None, "\n".join(lines)),)

    @property
    def help(self) -> str | None:
        """Name the largest sizes that fit, the sizes that could be smaller, or the longest span."""
        if self.fitting:
            return would_fit(self.fitting, dict(self.sizes))
        if all(size == 1 for _, size in self.sizes) and self.spans:
            name, most = max(self.spans, key=lambda span: span[1])
            loop = f"for {name} in … by B{name.upper()}:"
            return f"`span {name}` has up to {most:,}: bound it more tightly, or write `{loop}`"
        if not self.sizes:
            return "write a name for a size, `by BM`: the compiler takes sizes that fit"
        now = ", ".join(f"{name} = {value}" for name, value in self.sizes)
        return f"use smaller tiles than {now}, or leave them out: the compiler takes sizes that fit"
