"""References, schedules and tests: every name in them means something."""

from tiledsl.check.modules import Module
from tiledsl.diagnostics import Diagnostic


def check_items(module: Module) -> list[Diagnostic]:
    """Return what is wrong with the names in references, schedules and tests."""
    return []
