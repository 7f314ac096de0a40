"""The `windtunnel` command: subcommands are imported only when they are called.

So `--help` is instant, and a part that cannot be imported spoils its own subcommand alone.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from windtunnel.errors import CommandError, HarnessProblem
from windtunnel.screen import complain

# name -> module:object, and the line that `--help` shows
SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "up": ("windtunnel.up:up", "Start fleet and gateway; print base URLs and a funded key."),
    "fleet": ("simulator.__main__:fleet", "Start only the fake provider fleet."),
    "gateway": ("gateway.__main__:gateway", "Start only the reference gateway."),
    "record": ("simulator.tape.__main__:record", "Record a real provider, to play it back."),
    "conform": ("windtunnel.conform:conform", "Check a gateway against the API reference; write a report."),
    "mutants": ("windtunnel.mutants:mutants", "Break the reference gateway on purpose; print the kill matrix."),
    "load": ("windtunnel.load:load", "Put a gateway under load; end with the audit."),
    "audit": ("windtunnel.load:audit", "Recompute the bill from the fleet's journal and compare."),
    "scenario": ("windtunnel.scenario:scenario", "Outages as data: list, show, check, make of a log."),
    "fixtures": ("windtunnel.fixtures:fixtures", "Check canned answers."),
    "report": ("windtunnel.report:report", "Show a report, or what changed between two."),
    "bench": ("windtunnel.load:bench", "Measure fleet and gateway against a bare server."),
    "version": ("windtunnel.command:version_command", "Print the version."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and help line, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, name = SUBCOMMANDS[cmd_name][0].partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, SyntaxError) as error:
            raise HarnessProblem(f"{cmd_name} cannot be loaded: {error}") from error
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in SUBCOMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in SUBCOMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, SUBCOMMANDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there is {', '.join(SUBCOMMANDS)}"
            raise click.UsageError(f"no command is called {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the full traceback of an unexpected error.")
def windtunnel(debug: bool) -> None:
    """Put an AI gateway in a wind tunnel before its users do.

    Exit codes: 0 conformant, 1 not, 2 usage or target unreachable, 3 harness error or invalid measurement,
    4 budget or time spent.
    """


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def version_command(as_json: bool) -> None:
    """Print the version."""
    import platform

    from windtunnel import version
    from windtunnel.screen import print_json

    facts = {"windtunnel": version(), "python": platform.python_version(), "platform": platform.platform()}
    if as_json:
        print_json(facts, indent=False)
    else:
        click.echo(f"windtunnel {facts['windtunnel']} (Python {facts['python']}, {facts['platform']})")


def main() -> NoReturn:
    """The console script."""
    if not sys.warnoptions:  # -W and PYTHONWARNINGS are for those who build this, not for those who use it
        warnings.simplefilter("ignore")
    code = run(sys.argv[1:])
    with contextlib.suppress(BrokenPipeError, ValueError):
        sys.stdout.flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; whatever goes wrong is told in one line on stderr."""
    debug = "--debug" in arguments or bool(os.environ.get("WINDTUNNEL_DEBUG"))
    words = [word for word in arguments if word != "--debug"]
    try:
        result = windtunnel.main(args=words, prog_name="windtunnel", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        complain(error.format_message(), _path_of(error))
        return 2
    except CommandError as error:
        if str(error):
            complain(str(error))
        if debug and not isinstance(error, click.ClickException):
            traceback.print_exc()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- the reader went away; the interpreter flushes at its end
        return 141
    except SystemExit as stop:
        return _code(stop)
    except Exception as error:
        return _unexpected(error, debug)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _path_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "windtunnel"


def _code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    complain(str(stop.code))
    return 1


def _unexpected(error: Exception, debug: bool) -> int:
    """Tell an error nobody foresaw: one line, and where the rest was written."""
    if debug:
        traceback.print_exc()
        return 3
    what = f"unexpected {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="windtunnel-error-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exc(file=file)
        complain(f"{what} (details: {Path(file.name)})")
    except OSError:
        complain(f"{what} (--debug shows the details)")
    return 3
