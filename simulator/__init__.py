"""The simulator: what a program computes on a chip, and how long it takes."""

from tiledsl.simulator.report import Simulation, simulate

__all__ = ["Simulation", "simulate"]
