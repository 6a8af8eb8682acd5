from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts.column import PROCESSED_AT
from airflow_provider_genesys.entities.declaration import built_in, built_in_names, read_listing, resolve
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.unit.entities.sdk_listings import call, model_of
from tests.unit.testing.sdk_login import logged_in

_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "datetime": "timestamp",
    "date": "string",
}
_OWN = """\
name: wards
version: 1
source:
  path: /api/v2/wards
  paging: pageNumber
key: id
columns:
  id: {type: string, required: true}
  name: {type: string}
"""


@pytest.fixture(scope="module")
def genesys() -> Any:
    with FakeGenesys(users=60, requests_per_minute=100_000) as genesys:
        yield genesys


@pytest.fixture(scope="module")
def client(genesys: FakeGenesys) -> Any:
    return logged_in(genesys)


def test_at_least_34_listings_are_shipped() -> None:
    assert len(built_in_names()) >= 34


@pytest.mark.parametrize("name", built_in_names())
def test_a_contract_names_and_types_every_field_of_the_sdks_model(name: str) -> None:
    listing = built_in(name)
    model = model_of(listing)
    expected = {member: _TYPES.get(model.swagger_types[field], "json") for field, member in model.attribute_map.items()}
    if listing.parent:
        expected.pop(listing.parent.path, None)
    named = {column.path: column.type for column in listing.contract.columns if not column.path.startswith("@")}
    assert named == expected
    assert listing.contract.columns[-1].path == PROCESSED_AT


@pytest.mark.parametrize("name", built_in_names())
def test_the_sdk_lists_every_entity_of_the_fake(name: str, genesys: FakeGenesys, client: Any) -> None:
    listing = built_in(name)
    parent = None
    if listing.parent:
        parent = next(iter(genesys.listings.organisation.table(listing.parent.entity))).id
    found, size = [], 10
    number, token = 1, ""
    while True:
        asked = _asked(listing.paging, listing.size_parameter, size, number, token)
        query = {"state": "any"} if name == "users" else {}
        page = call(client, listing, parent, **asked, **query)
        found += [entity.id for entity in page.entities]
        number, token = number + 1, _next(listing.paging, page)
        if listing.paging == "pageNumber":
            if len(page.entities) < size:
                break
        elif not token:
            break
    assert sorted(found) == [entry.id for entry in genesys.listings.organisation.table(name, parent)]


def _asked(paging: str, size_parameter: str, size: int, number: int, token: str) -> dict[str, Any]:
    if paging == "one":
        return {}
    asked: dict[str, Any] = {{"pageSize": "page_size"}.get(size_parameter, size_parameter): size}
    if paging == "pageNumber":
        return asked | {"page_number": number}
    return asked | ({{"nextUri": "next_page"}.get(paging, paging): token} if token else {})


def _next(paging: str, page: Any) -> str:
    if paging == "cursor":
        return page.cursors.after if page.cursors else ""
    return (getattr(page, "next_uri", None) or "").rpartition("=")[2].replace("%2B", "+")


def test_a_listing_of_ones_own_is_found_beside_the_dag(tmp_path: Path) -> None:
    (tmp_path / "wards.yaml").write_text(_OWN)
    listing = resolve("wards.yaml", tmp_path)
    assert (listing.path, listing.key, listing.contract.timestamp) == ("/api/v2/wards", "id", "processedAt")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  path: /api/v2/wards", "  path: api/v2/wards", 4, "has to begin with '/'"),
        ("  path: /api/v2/wards", "  path: /api/v2/{x}/wards", 4, "in braces"),
        ("  paging: pageNumber", "  paging: numbers", 5, "paging is one of pageNumber"),
        ("  paging: pageNumber", "  pages: 3", 5, "no setting 'pages'"),
        ("  paging: pageNumber\n", "", 4, "'paging' is missing"),
        ("  paging: pageNumber", "  paging: one\n  page_size: many", 6, "a whole number"),
        ("  paging: pageNumber", "  paging: one\n  page_size: 0", 6, "page_size has to be from 1"),
        ("  paging: pageNumber", "  paging: one\n  volatile: [nmae]", 6, "volatile holds no column"),
        ("  paging: pageNumber", "  paging: one\n  parent: {entity: queues}", 6, "'path' is missing"),
        (
            "  path: /api/v2/wards",
            "  path: /api/v2/w/{w}\n  parent: {entity: queues, path: w}",
            7,
            "'@key' below a parent",
        ),
        ("key: id", "key: name", 9, "has to be required"),
        (_OWN[_OWN.index("source") : _OWN.index("key")], "", 1, "'timestamp' is missing"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = tmp_path / "wards.yaml"
    path.write_text(_OWN.replace(old, new, 1))
    with pytest.raises(ContractError) as raised:
        read_listing(path)
    assert says in str(raised.value)
    assert f"{path}, line {line}: " in str(raised.value)


def test_a_parent_that_does_not_exist_or_has_a_parent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wards.yaml"
    own = _OWN.replace("/wards", "/wards/{w}").replace("id: {type", 'id: {path: "@key", type')
    path.write_text(own.replace("  paging", "  parent: {entity: queue_members, path: w}\n  paging"))
    with pytest.raises(ContractError, match=r"line 5: .*has a parent itself"):
        read_listing(path)
    path.write_text(own.replace("  paging", "  parent: {entity: nobody, path: w}\n  paging"))
    with pytest.raises(ContractError, match="no entity 'nobody'"):
        read_listing(path)


def test_a_built_in_listing_expects_columns_without_a_value() -> None:
    assert all(column.may_be_empty for column in built_in("users").contract.columns)
