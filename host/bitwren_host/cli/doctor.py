"""``bitwren doctor``."""

from __future__ import annotations

import json

import click

from bitwren.errors import BitwrenError

from ..doctor import as_json as describe
from ..doctor import examine, lacking, report
from .look import json_option


@click.command()
@click.option("--port", "ports", multiple=True, help="Look at this serial port too; those of USB devices are found.")
@click.option("--ask/--no-ask", default=True, show_default=True, help="Talk to boards: ends what runs there and starts it again.")
@json_option
def doctor(ports: tuple[str, ...], ask: bool, as_json: bool) -> None:
    """Show what is installed, built and plugged in, and what to do about the rest. Exit 1: the basics lack something."""
    found = examine(ports, ask)
    click.echo(json.dumps(describe(found), ensure_ascii=False, indent=2) if as_json else report(found))
    wanting = lacking(found)
    if wanting:
        raise BitwrenError(f"missing to build and search on this computer: {', '.join(finding.name for finding in wanting)}")
