"""The command ``airflow-genesys``: what can be done without a DAG."""

from __future__ import annotations

import sys

import typer

from airflow_provider_genesys.commands import contract, dead_letters, demo, doctor, entities, loads, plan, verify, views
from airflow_provider_genesys.commands.patience import retries_shown
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.outside import shown

app = typer.Typer(
    name="airflow-genesys",
    help="Loads of Genesys Cloud: look at them, check what they need, plan a backfill. Connections are Airflow's.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(doctor.doctor)
app.command()(loads.loads)
app.command()(loads.load)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(contract.app, name="contract")
app.add_typer(entities.app, name="entities")
app.command()(verify.verify)
app.command()(plan.plan)
app.command()(views.views)
app.command()(demo.demo)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    :return: the exit code: 0; 1 if the command fails or finds a problem; 2 for wrong arguments.
    """
    try:
        with retries_shown():
            app(args=arguments, prog_name="airflow-genesys")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except GenesysError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has ended, e.g. `head`
        return 1
    except Exception as error:  # noqa: BLE001 - of a driver or of Airflow: its message is of use, our stack is not
        sys.stderr.write(f"{type(error).__name__}: {shown(error, 500)}\n")
        return 1
    return 0
