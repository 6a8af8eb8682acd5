"""Every parameter of every operator and sensor has its place in the pages, and the tables say what is templated."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_genesys.get_provider_info import get_provider_info
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.finish_loads import GenesysFinishS3LoadsOperator
from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page.name: page.read_text() for page in sorted(DOCS.glob("*.md"))}
NAME = re.compile(r"`(\w+)(?:=[^`]*)?`")
TABLES = {
    ("operators.md", "Creating an export"): GenesysCreateExportOperator,
    ("operators.md", "Loading an export"): GenesysExportTransferOperator,
    ("operators.md", "Cutting an archive"): GenesysPlanShardsOperator,
    ("operators.md", "Finishing loads"): GenesysFinishS3LoadsOperator,
    ("operators.md", "Loading a listing"): GenesysEntitiesToPostgresOperator,
    ("sensor.md", "Use"): GenesysExportSensor,
}


def operators() -> Iterator[type[BaseOperator]]:
    """Yield what a DAG can use: the operators of the provider's modules that are not abstract."""
    info = get_provider_info()
    modules = [name for room in ("operators", "sensors") for entry in info[room] for name in entry["python-modules"]]
    for module in (*modules, *(entry["python-module"] for entry in info["transfers"])):
        for name, found in inspect.getmembers(import_module(module), inspect.isclass):
            if found.__module__ == module and name.startswith("Genesys") and not inspect.isabstract(found):
                yield found


def parameters(operator: type[BaseOperator]) -> set[str]:
    """Return the names that the constructors of ``operator`` and of its bases in this package take."""
    own = [base.__init__ for base in operator.__mro__ if base.__module__.startswith("airflow_provider_genesys.")]
    found = [one for init in own for one in inspect.signature(init).parameters.values()]
    return {one.name for one in found if one.kind is inspect.Parameter.KEYWORD_ONLY}


def refused(operator: type[BaseOperator]) -> set[str]:
    """Return the parameters of its bases that a listing's operator refuses."""
    return set(getattr(operator, "_refused", tuple)())


@pytest.mark.parametrize("operator", operators(), ids=lambda operator: operator.__name__)
def test_every_parameter_is_on_a_page_that_names_its_operator(operator: type[BaseOperator]) -> None:
    name = re.compile(rf"\b{operator.__name__}\b")
    pages = [text for page, text in PAGES.items() if page == "operators.md" or name.search(text)]
    assert any(name.search(text) for text in pages), "no page names it"
    assert parameters(operator) - refused(operator) - {found for text in pages for found in NAME.findall(text)} == set()


@pytest.mark.parametrize("operator", operators(), ids=lambda operator: operator.__name__)
def test_every_operator_is_on_the_page_of_xcoms(operator: type[BaseOperator]) -> None:
    assert f"`{operator.__name__}`" in PAGES["xcom.md"]


def test_operators_are_found() -> None:
    assert {GenesysCreateExportOperator, GenesysExportSensor, GenesysFinishS3LoadsOperator} <= set(operators())


@pytest.mark.parametrize(("page", "section"), TABLES)
def test_tables_of_parameters_say_what_is_templated(page: str, section: str) -> None:
    operator = TABLES[page, section]
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    assert text, section
    rows = re.findall(r"^\| (`.*?) \|[^|]*\| (yes|no) \|", text[1], re.MULTILINE)
    told = {name: templated == "yes" for names, templated in rows for name in NAME.findall(names)}
    assert told
    known = parameters(operator) | {"soft_fail", "never_fail"}
    assert told == {name: name in operator.template_fields for name in told if name in known}
