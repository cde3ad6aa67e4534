"""The command line: one file a verb. Results go to stdout, everything else to stderr.

A verb's file is imported when it is called, and imports what it needs then: help answers at once.
"""

from __future__ import annotations

import importlib
import sys
import warnings

import click

from residency import __version__
from residency.core.processes import process_count

VERBS = {
    "new": "Make a project folder from a file of examples.",
    "run": "Do the whole workflow: check, baselines, train, compare, verdict.",
    "check": "Examine the examples, mend them, and freeze the test rows.",
    "review": "Judge the suspected rows one by one.",
    "undo": "Take a mending back.",
    "plan": "Tell memory, time and cost of training before it.",
    "baseline": "Ask the base and the prompted baselines.",
    "train": "Tune the model.",
    "compare": "Compare base, baselines and tuned model; same as run.",
    "iterate": "Mend training rows that a run's failures blame, train again, and tell the change.",
    "verdict": "Make a run's figures anew from its scored rows; take several seeds together.",
    "runs": "List runs, or show one.",
    "chat": "Talk to a tuned model.",
    "demo": "Copy the demo into this folder and run it.",
    "schema": "Print the JSON Schema of the recipe or the report.",
}

EXIT_CODES = """Exit codes: 0 done; 1 a mistake to mend, told in three lines; 2 a bug; with --gate
3 do not ship, 4 cannot tell; 130 stopped by Ctrl-C."""


class Verbs(click.Group):
    """Finds a verb's command in the file of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of work."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's file."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"residency.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that listing verbs imports none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="residency")
def residency() -> None:
    """From a base model and a file of examples to a verdict, with evidence."""


def _tells() -> bool:
    """Whether this process tells the user how it ended: under torchrun only the first to end does."""
    if process_count() == 1:
        return True
    from residency.training.distribution import first_to_end

    return first_to_end()


def main() -> None:
    """Run the command line and exit with its code.

    A user's mistake ends with three lines; a bug ends with its traceback and code 2.
    """
    from residency.core.errors import ResidencyError

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|torch)\.")
    try:
        code = residency.main(prog_name="residency", standalone_mode=False)
    except ResidencyError as error:
        if _tells():
            print(error, file=sys.stderr)
        code = 1
    except click.ClickException as error:
        error.show()
        code = 1
    except (KeyboardInterrupt, click.Abort):
        if _tells():
            print(
                "\nStopped. Run the same command to go on: finished stages are kept, "
                "and training goes on from its last checkpoint.",
                file=sys.stderr,
            )
        code = 130
    except SystemExit:  # click's answer to a reader of stdout that went away: nobody's mistake
        code = 0
    except Exception:
        import traceback

        if _tells():
            traceback.print_exc()
            print("\nThis is a bug in residency; please report it with the lines above.", file=sys.stderr)
        code = 2
    sys.exit(code)
