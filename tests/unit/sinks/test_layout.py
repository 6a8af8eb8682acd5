from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.objects.layout import Layout, cut_name, partition_of, tag
from airflow_provider_genesys.stores.base import check_prefix
from tests.sinks.batches import make_load


@pytest.mark.parametrize("prefix", ["lake/raw", "lake/raw/", "/lake/raw//"])
def test_slashes_at_the_ends_of_a_prefix_do_not_matter(prefix: str) -> None:
    assert Layout(prefix, make_load(), "ndjson").load == "lake/raw/dt=2026-11-01/load-1/"


@pytest.mark.parametrize("prefix", ["", "/"])
def test_without_a_prefix_keys_begin_at_the_top(prefix: str) -> None:
    layout = Layout(prefix, make_load(), "ndjson")

    assert layout.part(cut_name(5, 1000, "t")) == "dt=2026-11-01/load-1/00000/000000000000005-000000000001000-t.ndjson"
    assert layout.ledger == "_ledger/load-1/00000/"
    assert layout.dead_letters == "_dead_letters/dt=2026-11-01/load-1/00000/"
    assert layout.manifest == "dt=2026-11-01/load-1/_manifest.json"


@pytest.mark.parametrize("prefix", ["a//b", "a/../b", "..", "./a", "a\nb", "a\x00", "a\ud800", "a\u2028b"])
def test_a_prefix_that_tools_trip_over_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "a", "/a/b=c d/é/", "a.b/..c"])
def test_other_prefixes_pass(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize("load_id", ["..", "a/b", "a b?#%", "ü", "_ledger/../x"])
def test_an_id_is_one_step_of_a_key(load_id: str) -> None:
    layout = Layout("raw", make_load(load_id=load_id), "ndjson")

    assert layout.load.count("/") == 3
    assert "/../" not in layout.load


def test_different_ids_have_different_keys() -> None:
    ids = ["a.b", "a%2Eb", "a/b", "a%2Fb", "A.B"]

    assert len({Layout("raw", make_load(load_id=load_id), "ndjson").load for load_id in ids}) == len(ids)


def test_the_day_is_that_of_utc() -> None:
    start = datetime(2026, 11, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))

    assert "dt=2026-10-31" in Layout("raw", replace(make_load(), window_start=start), "ndjson").load


def test_partitions_are_named_as_somebody_says() -> None:
    load = make_load()
    partition = partition_of(load, "source=genesys/year=%Y/month=%m/hour=%H")

    layout = Layout("raw", load, "ndjson", partition)

    assert layout.load == "raw/source=genesys/year=2026/month=11/hour=00/load-1/"
    assert layout.dead_letters == "raw/_dead_letters/source=genesys/year=2026/month=11/hour=00/load-1/00000/"
    assert layout.ledger == Layout("raw", load, "ndjson").ledger


def test_shards_have_folders_and_manifests_of_their_own() -> None:
    layouts = [Layout("raw", make_load(shard=shard), "ndjson") for shard in (0, 1)]

    for name in ("parts", "dead_letters", "ledger", "manifest"):
        assert len({getattr(layout, name) for layout in layouts}) == 2


def test_keys_are_as_long_as_a_store_takes_and_no_longer() -> None:
    longest = 1024 - len("/_dead_letters/dt=2026-11-01/load-1/00000/" + 15 * "0" + "-" + 15 * "0" + "-01234567.ndjson")
    layout = Layout("é" * (longest // 2), make_load(), "ndjson")

    assert 1022 <= len(layout.dead_letter(cut_name(0, 1, tag("x"))).encode()) <= 1024
    with pytest.raises(ConfigurationError, match=r"Shorten the prefix by 1 bytes"):
        Layout("p" * (longest + 1), make_load(), "ndjson")


def test_keys_sort_by_offset() -> None:
    layout = Layout("raw", make_load(), "ndjson")
    offsets = [0, 9, 10, 999, 10**9, 10**12]

    keys = [layout.part(cut_name(offset, offset + 1, "t")) for offset in offsets]

    assert keys == sorted(keys)
