"""The command line. Exit codes: 0 done, 2 bad input (said in one line), 1 a fault of ours.

A command is a module here, and a name among those that :data:`cli` is given below. What takes long to import is
imported when the command runs, so that help is shown at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from coldstart import __version__
from coldstart.cli import (
    adapters,
    demo,
    distil,
    enrich,
    evaluate,
    index,
    models,
    observe,
    onboard,
    prompts,
    recommend,
    refine,
    serving,
)
from coldstart.errors import ColdstartError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="coldstart")
@click.option("--verbose", "-v", is_flag=True, help="Log what is decided along the way.")
def cli(verbose: bool) -> None:
    """Recommend to people you know nothing of, from words alone."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


for command in (
    demo.demo,
    index.index,
    observe.observe,
    refine.refine,
    distil.distil,
    enrich.enrich,
    adapters.adapters,
    recommend.recommend,
    recommend.audience,
    onboard.onboard,
    evaluate.evaluate,
    models.models,
    prompts.prompts,
    serving.serve,
    serving.tenants,
    serving.keys,
    serving.export,
    serving.restore,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="coldstart", standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(2)
    except ColdstartError as problem:
        click.echo(f"error: {problem}", err=True)
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; what was computed is kept", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
