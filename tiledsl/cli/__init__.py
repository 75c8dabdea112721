"""The command line: ``tiledsl check | fmt | build | run | test | …``."""

import os
import sys
import warnings
from importlib import import_module

import click

# A command is imported when it is called: `tiledsl --help` and `check` start without NumPy's help.
COMMANDS = {
    "check": ("tiledsl.cli.sources", "Say what is wrong with files."),
    "fmt": ("tiledsl.cli.sources", "Bring files into the one form."),
    "build": ("tiledsl.cli.build", "Make the files for one target or more."),
    "run": ("tiledsl.cli.run", "Run a kernel on random inputs or on files."),
    "profile": ("tiledsl.cli.profile", "Show where a kernel's cycles go."),
    "tune": ("tiledsl.cli.tune", "Find tile sizes that take fewer cycles."),
    "test": ("tiledsl.cli.test", "Run the tests in files."),
    "doctor": ("tiledsl.cli.facts", "Show what this machine has of what tiledsl can use."),
    "targets": ("tiledsl.cli.facts", "List what can be built for."),
    "ops": ("tiledsl.cli.facts", "List the operations of the language."),
    "list": ("tiledsl.cli.facts", "List the kernels that come along, by topic."),
    "explain": ("tiledsl.cli.facts", "Tell more about an error code."),
}


class Commands(click.Group):
    """The commands of the table above, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command itself."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table; no command is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tiledsl")
def cli() -> None:
    """Compile, run and check kernels written in the tile language."""


def main() -> None:
    """Run the command line; wrong input ends with a message and status 1, never a traceback."""
    warnings.showwarning = _say
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except click.ClickException as problem:
        click.echo(f"error: {problem.format_message()}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as problem:  # the last resort: what came is shown without its traceback
        if os.environ.get("TILEDSL_TRACEBACK"):
            raise
        sys.exit(_refusal(problem))


def _refusal(problem: Exception) -> int:
    """Print what is wrong; return the exit status."""
    from tiledsl.diagnostics import CompileError
    from tiledsl.runtime.errors import ArgumentError, DeviceError

    if isinstance(problem, CompileError):
        click.echo(str(problem), err=True)
    elif isinstance(problem, ArgumentError | DeviceError | OSError):
        click.echo(f"error: {problem}", err=True)
    elif isinstance(problem, MemoryError):
        click.echo("error: there is not enough memory for tensors of these sizes", err=True)
    else:
        kind = type(problem).__name__
        click.echo(f"error: a mistake in tiledsl itself: {kind}: {problem}", err=True)
        click.echo("  = help: TILEDSL_TRACEBACK=1 shows where; please report it", err=True)
    return 1


def _say(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning by itself, without the place in the compiler where it was raised."""
    click.echo(str(message), err=True)
