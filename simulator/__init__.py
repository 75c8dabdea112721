"""The simulator: what a program computes on a chip, how long it takes, and what may go wrong.

`values` computes, with one NumPy call for many programs; `timing` counts cycles; `hazards` checks
that flags order every access. All three run the module that `tiledsl.backends.numpy` writes, each
with cores of its own kind.
"""

from tiledsl.simulator.estimate import estimate
from tiledsl.simulator.hazards import Hazard, HazardError, check
from tiledsl.simulator.report import Simulation, simulate

__all__ = ["Hazard", "HazardError", "Simulation", "check", "estimate", "simulate"]
