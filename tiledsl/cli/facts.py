"""``doctor``, ``targets``, ``ops``, ``list``, ``explain``: what tiledsl and this machine have."""

import sys

import click


@click.command()
def doctor() -> None:
    """Show what this machine has of what tiledsl can use; fail if something it needs lacks."""
    from tiledsl.cli.machine import findings

    rows = findings()
    width = max(len(row.name) for row in rows)
    for row in rows:
        mark = "ok  " if row.found else "FAIL" if row.needed else "none"
        click.echo(f"{mark}  {row.name:{width}}  {row.text}")
    sys.exit(1 if any(row.needed and not row.found for row in rows) else 0)


@click.command()
def targets() -> None:
    """List what can be built for."""
    from tiledsl.driver import TARGETS

    for name, text in TARGETS.items():
        click.echo(f"{name:14}  {text}")


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Print the page of the manual.")
def ops(name: str | None, markdown: bool) -> None:
    """List the operations of the language, or tell all about one."""
    from tiledsl.cli.manual import op_lines, op_page, ops_page

    if markdown:
        click.echo(ops_page(), nl=False)
        return
    lines = op_page(name) if name is not None else op_lines()
    if not lines:
        from tiledsl.cli.manual import op_names
        from tiledsl.runtime.binding import did_you_mean

        raise click.ClickException(f"no operation `{name}`{did_you_mean(str(name), op_names())}")
    for line in lines:
        click.echo(line)


@click.command()
@click.argument("topic", required=False)
@click.option("--markdown", is_flag=True, help="Print the page of the manual.")
def list(topic: str | None, markdown: bool) -> None:
    """List the kernels that come along, or those of one topic and its functions."""
    from tiledsl.cli.library import kernels_page, topic_lines, topic_names

    if markdown:
        click.echo(kernels_page(), nl=False)
        return
    name = topic.removeprefix("std:").removeprefix("std.") if topic is not None else None
    if name is not None and name not in topic_names():
        from tiledsl.runtime.binding import did_you_mean

        hint = did_you_mean(name, topic_names()) or f"; there are {', '.join(topic_names())}"
        raise click.ClickException(f"no topic `{name}`{hint}")
    for line in topic_lines(name):
        click.echo(line)


@click.command()
@click.argument("code", required=False)
@click.option("--markdown", is_flag=True, help="Print the page of the manual.")
def explain(code: str | None, markdown: bool) -> None:
    """Tell more about an error code, or list them all."""
    from tiledsl.cli.manual import code_lines, code_page, diagnostics, errors_page

    if markdown:
        click.echo(errors_page(), nl=False)
        return
    known = diagnostics()
    if code is not None and code.upper() not in known:
        raise click.ClickException(f"no error code `{code}`; `tiledsl explain` lists them")
    for line in code_page(code.upper()) if code is not None else code_lines():
        click.echo(line)
