"""Archives whose records lie inside of a document: the same rows, the same resume, the same care for broken ones."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts import contract as contract_module
from airflow_provider_genesys.contracts.contract import RECORDINGS, load_contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, NotAnArchiveError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.source.position import PROVEN
from airflow_provider_genesys.source.shards import Shard
from airflow_provider_genesys.source.split import path as path_module
from airflow_provider_genesys.source.split.path import PathSplitter
from airflow_provider_genesys.source.unpack.unpacked import Unpacked
from tests.unit.pipeline.test_whole_path import BAD, LOAD, RECORDS, Bytes, Memory, Stop, record, zipped


def page(records: list[bytes], number: int) -> bytes:
    return b'{"pageNumber": %d, "entities": [\n%s\n], "selfUri": "/[%d]"}' % (number, b",\n".join(records), number)


ONE = b'{"total": 100, "note": "[{", "data": {"entities": [9], "recordings": [' + b",".join(RECORDS) + b"]}}\n"
PAGE = page(RECORDS, 1)
DOCUMENTS = {
    "one array": ("data.recordings", ONE),
    "gzip": ("entities", gzip.compress(PAGE, mtime=0)),
    "a document in each entry of a zip": ("entities", zipped(page(RECORDS[:50], 1), page(RECORDS[50:], 2))),
}


def load(path: str, archive: Bytes, sink: Memory, **options: Any) -> Certificate:
    def download(start: Any) -> Any:
        archive.identity = start.source
        return archive

    given = {"batch_size": 7, "flush_interval": 60, **options}
    contract = replace(RECORDINGS, records_path=path)
    return run(replace(LOAD, contract=contract), download, sink, Options(**given))


@pytest.mark.parametrize("chunk", [1, 50, 100_000])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_gives_the_same_rows_as_ndjson(name: str, chunk: int) -> None:
    path, document = DOCUMENTS[name]
    sink = Memory()
    certificate = load(path, Bytes(document, chunk=chunk), sink)
    assert certificate.counts == Counts(100, 97, 3)
    assert certificate.rules == {"not-json": 1, "wrong-type": 1, "missing-required": 1}
    assert [row[0] for row in sink.rows] == [f"r{number:05}" for number in range(100) if number not in BAD]
    plain = b"".join(Unpacked(iter([document]), where="It"))
    offsets = [offset for batch in sink.batches for offset in batch.offsets]
    assert [plain[offset : offset + 24] for offset in offsets] == [RECORDS[i][:24] for i in range(100) if i not in BAD]


@pytest.mark.parametrize("cut_every", [None, 2000])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_load_is_resumed_at_any_batch(name: str, cut_every: int | None) -> None:
    path, document = DOCUMENTS[name]
    perfect = Memory(cut_every=cut_every)
    expected = load(path, Bytes(document), perfect)
    for stop in range(1, len(perfect.batches)):
        sink = Memory(cut_every=cut_every, stop=stop)
        with pytest.raises(Stop):
            load(path, Bytes(document), sink)
        sink.stop = None
        certificate = load(path, Bytes(document), sink)
        assert [row[:-1] for row in sink.rows] == [row[:-1] for row in perfect.rows]
        assert (certificate.counts, certificate.digest) == (expected.counts, expected.digest)


def test_what_is_not_packed_is_entered_in_its_middle() -> None:
    archive = Bytes(page([record(number) for number in range(1000)], 1))
    sink = Memory(stop=100)
    with pytest.raises(Stop):
        load("entities", archive, sink)
    sink.stop = None
    certificate = load("entities", archive, sink)
    assert certificate.counts == Counts(1000, 1000)
    assert archive.opened_at is not None
    assert archive.opened_at + PROVEN == sink.batches[99].end


WRONG = {
    "no such array": (
        '{"data": {"x": 1}, "total": 2, "data": {}, "\\u001b": 3}',
        r"there is no array. The document has the keys 'data', 'total', '[^\x1b]*'\. Compare",
    ),
    "no such array among many": (
        "{" + ", ".join(f'"k{n}": 1' for n in range(20)) + "}",
        r"the keys 'k0', .*'k9' and others\. Compare",
    ),
    "an array alone": ("[]", "there is no array. The document is no object, or an empty one"),
    "an object": ('{"data": {"recordings": {"id": 1}}}', "the value there is not an array"),
    "a text": ('{"data": {"recordings": "none"}}', "the value there is not an array"),
    "ndjson": ('{"data": {"recordings": []}}\n{"data": {"recordings": []}}\n', "not a JSON document"),
    "cut off behind the records": ('{"data": {"recordings": []', "cut off"),
    "cut off in the records": ('{"data": {"recordings": [{"recordingId": "r"}', "cut off"),
    "another document behind it": ('{"data": {"recordings": []}} []', "not a JSON document"),
    "a number that is too long": (f'{{"n": {"1" * 5000}, "data": {{"recordings": []}}}}', "too long"),
    "nesting": ("[" * 501, "deeper than 500"),
    "nesting behind the records": ('{"data": {"recordings": []}, "x": ' + "[" * 501, "deeper than 500"),
    "a second array": ('{"data": {"recordings": []}, "data": {"recordings": []}}', "more than one array"),
    "brackets that do not match": ('{"data": {"recordings": []]}', "not a JSON document"),
}


@pytest.mark.parametrize("chunk", [1, 10_000])
@pytest.mark.parametrize("name", WRONG)
def test_another_document_is_refused(name: str, chunk: int) -> None:
    document, message = WRONG[name]
    sink = Memory()
    with pytest.raises(NotAnArchiveError, match=f"(?s)export export.*{message}"):
        load("data.recordings", Bytes(document.encode(), chunk=chunk), sink, allow_empty=True)
    assert sink.aborted


def test_a_value_that_never_ends_takes_no_memory() -> None:
    endless = Bytes(b'{"note": "' + b"x" * 300_000)
    with pytest.raises(NotAnArchiveError, match="longer than 100000 bytes"):
        load("data.recordings", endless, Memory(), max_record_bytes=100_000)


@pytest.mark.parametrize("filling", [b"[", b'\\"', b"x"])
@pytest.mark.parametrize("document", [b'{"n": "%s", "entities": [{"id": 1}]}', b'{"entities": [{"id": 1}], "n": "%s"}'])
def test_a_long_text_is_given_to_the_parser_once_and_in_one_piece(
    document: bytes, filling: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    made = path_module.ijson.basic_parse_coro

    class Counted:
        def __init__(self, events: Any) -> None:
            self._parser = made(events)

        def send(self, piece: bytes) -> None:
            sent.append(len(piece))
            self._parser.send(piece)

        def close(self) -> None:
            self._parser.close()

    monkeypatch.setattr(path_module.ijson, "basic_parse_coro", Counted)
    whole = document % (filling * 100_000)
    splitter = PathSplitter("entities", where="It")
    for begin in range(0, len(whole), 1000):
        splitter.feed(whole[begin : begin + 1000])
    assert splitter.pending == 1
    splitter.close()
    assert sum(sent) == len(whole) - len(b'{"id": 1}')
    assert len([length for length in sent if length]) <= 5


@pytest.mark.parametrize("document", ['{"data": {"recordings": []}}', '{"data": {"recordings": null}}'])
def test_no_records_are_an_empty_archive(document: str) -> None:
    with pytest.raises(NotAnArchiveError, match="holds no record"):
        load("data.recordings", Bytes(document.encode()), Memory())
    certificate = load("data.recordings", Bytes(document.encode()), Memory(), allow_empty=True)
    assert certificate.counts == Counts()


def test_pages_and_shards_have_no_records_path() -> None:
    contract = replace(RECORDINGS, records_path="entities")
    pages = Pages(lambda job, cursor: pytest.fail(f"{job} {cursor}"), "export")
    with pytest.raises(ConfigurationError, match="recordings, which comes as pages"):
        run(replace(LOAD, contract=contract), lambda _: pages, Memory(), Options())
    shard = replace(LOAD, contract=contract, shard=1, range=Shard(1, 2, 0, 10))
    with pytest.raises(ConfigurationError, match="a shard of an archive"):
        run(shard, lambda _: Bytes(ONE), Memory(), Options())


def test_it_stands_in_the_contract_and_makes_another_one_of_it(tmp_path: Path) -> None:
    built_in = Path(contract_module.__file__).parent / "built_in" / "recordings.yaml"
    written = re.sub(r"(?m)^columns:", "records_path: data.recordings\ncolumns:", built_in.read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(written)
    contract = load_contract(file)
    assert contract.records_path == "data.recordings"
    assert contract.fingerprint != RECORDINGS.fingerprint
    file.write_text(written.replace("data.recordings", "data..recordings"))
    with pytest.raises(ContractError, match=r"mine.yaml, line \d+.*a step without a name"):
        load_contract(file)
    file.write_text(written.replace("data.recordings", "pages.item.entities"))
    with pytest.raises(ContractError, match=r"mine.yaml, line \d+.*'pages.item.entities' goes through an array"):
        load_contract(file)
