"""The ``bitwren`` command: one small file per group of commands, no logic."""

from __future__ import annotations

import sys

import click

from bitwren import __version__
from bitwren.errors import BitwrenError

from .ask import console, search
from .bench import bench
from .demo import demo
from .deploy import deploy
from .doctor import doctor
from .exchange import export, import_
from .flash import flash
from .image import image
from .look import boards, inspect, ports
from .make import append, build, delete
from .measure import compare, evaluate, verify
from .train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="bitwren")
def cli() -> None:
    """Semantic lookup on a microcontroller: build a table from a CSV, search it on the host or on a board."""


for command in (
    build,
    append,
    delete,
    train,
    import_,
    export,
    search,
    console,
    evaluate,
    compare,
    verify,
    image,
    flash,
    inspect,
    boards,
    ports,
    deploy,
    doctor,
    demo,
    bench,
):
    cli.add_command(command)


def main() -> None:
    """Entry point: errors that are the user's to mend are one sentence on stderr and exit 1; misuse is exit 2."""
    try:
        cli.main(prog_name="bitwren", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("bitwren: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; Python would complain about it at exit
        sys.exit(1)
    except BitwrenError as error:
        print(f"bitwren: {error}", file=sys.stderr)
        sys.exit(1)
