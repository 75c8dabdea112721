"""What goes wrong when a kernel is called."""


class ArgumentError(ValueError):
    """An argument of a launch is wrong: the message names it, what was expected and what came."""


class DeviceError(RuntimeError):
    """A device, or the model of one, refused a kernel or found a fault in it."""


class ScheduleWarning(UserWarning):
    """A directive of a schedule has no effect on the target."""
