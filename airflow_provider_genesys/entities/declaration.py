"""Declarations of listings: where the pages come from, and the contract of the records. One YAML file has both.

The files that come with the package are in ``built_in``. ``docs/entities.md`` says what a file may hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from airflow_provider_genesys.contracts.column import UNREADABLE, readable
from airflow_provider_genesys.contracts.contract import Check, Contract, checked
from airflow_provider_genesys.contracts.file import ContractFile, json_value, line_of, pairs_of, read_file, value_of
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.outside import shown

Paging = Literal["pageNumber", "after", "cursor", "nextUri", "one"]
"""How the next page is asked for: by its number · by what ``after`` or ``cursor`` was in the answer · by the link in
the answer · there is only one page."""

KEY, PARENT = "@key", "@parent"
"""Members that are added to each record below a parent: the ids of parent and record joined by ``/``, and the parent's
id."""

_BUILT_IN = Path(__file__).parent / "built_in"
_PAGE_SIZE = 100
_TEXTS = ("path", "paging", "size_parameter", "records", "sort")
_NUMBERS = ("page_size", "max_page_size", "page_cap")
_SETTINGS = (*_TEXTS, *_NUMBERS, "query", "parent", "permission", "volatile")
_STEP = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Parent:
    """The parent listing of another one.

    :param entity: name of its declaration, or the path of its file.
    :param path: name of the placeholder for the parent's id in the path of the listing below it.
    :param query: query for the parents, in place of that in the parent's own declaration.
    """

    entity: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """One listing, declared.

    :param path: path of the endpoint, e.g. ``/api/v2/routing/queues``; the parent's id is in braces.
    :param page_size: records per page.
    :param max_page_size: the endpoint's limit; None if Genesys names none.
    :param size_parameter: name of the query parameter that holds the page size.
    :param query: fixed parameters.
    :param records: member of the response that holds the records.
    :param sort: sent as ``sortBy``: a field that never changes, so that pages shift less.
    :param permission: one of these is needed; empty if none is.
    :param page_cap: number of the last page that the endpoint gives; None if it has no such limit.
    :param volatile: columns whose change makes no new version of a row.
    :param folder: where a relative path of a parent's file begins.
    """

    name: str
    path: str
    paging: Paging
    contract: Contract
    page_size: int = _PAGE_SIZE
    max_page_size: int | None = None
    size_parameter: str = "pageSize"
    query: dict[str, Any] = field(default_factory=dict)
    records: str = "entities"
    sort: str | None = None
    parent: Parent | None = None
    permission: tuple[str, ...] = ()
    page_cap: int | None = None
    volatile: tuple[str, ...] = ()
    folder: Path = Path()

    def __post_init__(self) -> None:
        for about, wrong in self._wrong():
            raise ContractError(f"Listing {self.name}: {wrong}.", about=about)

    @property
    def key_path(self) -> str:
        """Path of the contract's key."""
        return self.contract.columns[self.contract.index(self.contract.key)].path

    @property
    def key(self) -> str:
        """Member of an original record that identifies it among those of the same response."""
        return "id" if self.parent else self.key_path

    def parent_listing(self) -> Listing | None:
        """Return the declaration of the parents; None if there are none.

        :raises ContractError: it cannot be read, or has a parent itself.
        """
        if self.parent is None:
            return None
        found = resolve(self.parent.entity, self.folder)
        if found.parent:
            raise ContractError(
                f"Listing {self.name}: its parent {found.name} has a parent itself; one level is read.",
                about="source.parent",
            )
        return replace(found, query=found.query | self.parent.query)

    def _wrong(self) -> list[tuple[str, str]]:
        steps = _STEP.findall(self.path)
        wanted = [self.parent.path] if self.parent else []
        names = [column.name for column in self.contract.columns]
        key, limit = self.key_path, self.max_page_size or self.page_size
        checks = (
            ("source.path", not self.path.startswith("/"), f"the path {self.path!r} has to begin with '/'"),
            ("source.path", steps != wanted, f"in braces, the path has {steps}, but the parent gives {wanted}"),
            ("source.paging", self.paging not in get_args(Paging), f"paging is one of {', '.join(get_args(Paging))}"),
            ("source.page_size", not 0 < self.page_size <= limit, f"page_size has to be from 1 to {limit}"),
            (
                "key",
                bool(self.parent) != (key == KEY),
                f"the key's path has to be {KEY!r} below a parent, and only there",
            ),
            ("source.records", not readable(self.records), f"records {self.records!r} {UNREADABLE}"),
            ("key", "." in key, f"the key's path {key!r} has to be a member of the record itself"),
            ("source.volatile", not set(self.volatile) <= set(names), f"volatile holds no column; there are {names}"),
        )
        return [(about, message) for about, wrong, message in checks if wrong]


def read_listing(path: Path, check: Check | None = None) -> Listing:
    """Read the declaration in a YAML file.

    :raises ContractError: it cannot be read or is not valid; the message names the file and the line.
    """
    file = read_file(path)
    if file.source is None:
        raise file.error(1, "'source' is missing: it says where the listing is, see docs/entities.md.")
    pairs = pairs_of(file, file.source, "'source'", _SETTINGS)
    file.lines |= {f"source.{name}": line_of(node) for name, node in pairs.items()}
    for name in ("path", "paging"):
        if name not in pairs:
            raise file.error(line_of(file.source), f"source: {name!r} is missing.")
    settings = {name: _setting(file, name, node) for name, node in pairs.items()}
    try:
        contract = checked(Contract(**file.arguments), check)
        listing = Listing(name=contract.name, contract=contract, folder=path.parent, **settings)
        listing.parent_listing()
    except ContractError as error:
        raise file.located(error) from None
    return listing


def built_in_names() -> list[str]:
    """Return the names of the built-in listings."""
    return sorted(path.stem for path in _BUILT_IN.glob("*.yaml"))


@cache
def built_in(name: str) -> Listing:
    """Return the built-in listing of that name.

    :raises ContractError: there is none.
    """
    if name not in built_in_names():
        raise ContractError(
            f"There is no entity {shown(name, 80)!r}. Built in are: {', '.join(built_in_names())}. A declaration of "
            "your own is named by its path, which ends in .yaml or .yml."
        )
    listing = read_listing(_BUILT_IN / f"{name}.yaml")
    return replace(listing, contract=listing.contract.with_gaps())


def resolve(entity: str, folder: str | Path = ".", check: Check | None = None) -> Listing:
    """Return the listing that ``entity`` represents: the name of a built-in one, or the path of a YAML file.

    :param folder: what a relative path begins at.
    :raises ContractError: there is none, or it is not valid.
    """
    if entity.endswith((".yaml", ".yml")):
        return read_listing(Path(folder) / entity, check)
    return built_in(entity)


def _setting(file: ContractFile, name: str, node: yaml.Node) -> Any:
    place = f"source: {name}"
    if name in _TEXTS:
        return value_of(file, place, node, str)
    if name in _NUMBERS:
        return value_of(file, place, node, int)
    if name == "parent":
        return _parent(file, node)
    if name == "query":
        pairs = pairs_of(file, node, place)
        return {key: json_value(file, value) for key, value in pairs.items()}
    return _texts(file, place, node)


def _parent(file: ContractFile, node: yaml.Node) -> Parent:
    place = "source: parent"
    pairs = pairs_of(file, node, place, ("entity", "path", "query"))
    if missing := [name for name in ("entity", "path") if name not in pairs]:
        raise file.error(line_of(node), f"source: parent: {missing[0]!r} is missing.")
    query = json_value(file, pairs.pop("query")) if "query" in pairs else {}
    texts = {name: value_of(file, f"{place}: {name}", value, str) for name, value in pairs.items()}
    return Parent(query=query, **texts)


def _texts(file: ContractFile, place: str, node: yaml.Node) -> tuple[str, ...]:
    """Return one text, or each of a list."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return tuple(value_of(file, place, one, str) for one in nodes)
