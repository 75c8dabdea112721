"""What goes wrong when a kernel is called."""

TRAP = "trap: "  # what the message of a host model about a failed assertion begins with


class ArgumentError(ValueError):
    """An argument of a launch is wrong: the message names it, what was expected and what came."""


class DeviceError(RuntimeError):
    """A device, or the model of one, refused a kernel or found a fault in it."""


class AssertionFailedError(DeviceError):
    """An ``assert`` of a kernel does not hold: the message names its place and says its text."""


class ScheduleWarning(UserWarning):
    """A directive of a schedule has no effect on the target."""
