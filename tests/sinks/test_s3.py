"""What the S3 sink writes, against a real HTTP endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import (
    LENGTH,
    make_batch,
    make_batches,
    make_certificate,
    make_checkpoint,
    make_dead_letter,
    make_load,
)
from tests.sinks.lake import CUT, LEDGER, LOAD, Bucket, batches_of, bulky, ids, run


def test_parts_manifest_ledger_and_dead_letters_lie_where_the_layout_says(new_sink: Any, lake: Bucket) -> None:
    load = make_load()

    certificate = run(new_sink(), load, batches_of(load, 230, dead={7, 120}))

    tag = certificate.parts[0]["key"][-18:-10]
    shard = LOAD + "00000/"
    assert lake.listed("raw/dt=") == [
        f"{shard}000000000000000-000000000120000-{tag}.ndjson.gz",
        f"{shard}000000000120000-000000000240000-{tag}.ndjson.gz",
        f"{shard}000000000240000-000000000360000-{tag}.ndjson.gz",
        f"{LOAD}_manifest.json",
    ]
    letters = lake.listed("raw/_dead_letters/")
    assert [key.rpartition("-")[0] for key in letters] == [
        "raw/_dead_letters/dt=2026-11-01/load-1/00000/000000000000000-000000000120000",
        "raw/_dead_letters/dt=2026-11-01/load-1/00000/000000000120000-000000000240000",
    ]
    assert lake.listed("raw/_ledger/") == [f"{LEDGER}{number:08}.json" for number in range(1, 6)]
    assert len(lake.listed()) == 4 + 2 + 5


def test_rows_are_what_was_written(new_sink: Any, lake: Bucket) -> None:
    load = make_load()

    run(new_sink(), load, batches_of(load, 170, dead={7}))

    rows = lake.rows()
    assert [row["recordingId"] for row in rows] == ids(number for number in range(170) if number != 7)
    assert list(rows[0]) == [column.name for column in load.contract.columns]
    assert rows[0]["timestamp"] == "2026-11-01T00:00:00Z"
    assert rows[1]["timestamp"] == "2026-11-01T00:00:00.100000Z"
    assert rows[0]["queueId"] is None
    assert rows[1]["metadata"] == {"number": 1, "tags": ["a", "b"], "text": "y" * 120}
    assert rows[5]["durationMs"] == 35


def test_the_certificate_and_the_manifest_tell_what_landed(new_sink: Any, lake: Bucket, bucket: str) -> None:
    load = make_load()

    certificate = run(new_sink(), load, batches_of(load, 170, dead={7, 8}))

    assert certificate.location == f"s3://{bucket}/{LOAD}"
    assert (certificate.counts.read, certificate.counts.written) == (170, 168)
    assert (certificate.counts.dead_letters, certificate.counts.duplicates) == (2, 0)
    assert [(part["start"], part["end"], part["rows"]) for part in certificate.parts] == [
        (0, CUT, 98),
        (CUT, 170 * LENGTH, 70),
    ]
    manifest = lake.manifest()
    assert manifest["parts"] == certificate.parts
    assert manifest["counts"] == {"read": 170, "written": 168, "dead_letters": 2, "duplicates": 0}
    assert [letters["rows"] for letters in manifest["dead_letters"]] == [2]
    for part in certificate.parts:
        body = lake.read(part["key"])
        assert len(body) == part["bytes"]
        assert lake.ledger()[-1]["parts"] == certificate.parts
    assert lake.ledger()[-1]["state"] == "complete"


def test_a_checkpoint_comes_back_when_a_part_is_whole(new_sink: Any) -> None:
    load, sink = make_load(), new_sink()

    assert sink.open(load, restart=False) is None
    returned = [written(sink, batch) for batch in batches_of(load, 150, dead={3})]

    assert [checkpoint is not None for checkpoint in returned] == [False, True, False]
    assert returned[1].position.record_offset == CUT
    assert (returned[1].counts.read, returned[1].counts.written, returned[1].fence) == (100, 99, 1)
    assert returned[1].committed_at
    sink.abort()


def test_a_record_that_crosses_the_cut_belongs_to_the_part_in_which_it_begins(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    size = 70 * LENGTH - 100

    # As the pipeline cuts them: at the first record boundary past each multiple of the part size.
    batches = [make_batch(load, range(first, last)) for first, last in ((0, 40), (40, 70), (70, 140))]
    certificate = run(new_sink(part_size=size), load, batches)

    assert [(part["start"], part["end"]) for part in certificate.parts] == [
        (0, 70 * LENGTH),
        (70 * LENGTH, 140 * LENGTH),
    ]
    assert len(lake.rows()) == 140


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz"])
def test_parts_have_the_same_bytes_however_batches_are_cut(
    new_sink: Any, lake: Bucket, client: Any, output_format: str
) -> None:
    load, settings = make_load(), {"output_format": output_format, "part_size": 1000 * LENGTH}
    other = f"other-{output_format}"
    client.create_bucket(Bucket=other)

    run(new_sink(**settings), load, make_batches(load, 1400, size=500))
    run(new_sink(**settings, bucket=other), load, make_batches(load, 1400, size=40))

    assert Bucket(client, other).parts() == lake.parts()
    assert len(lake.parts()) == 2


def test_a_window_without_records_is_complete(new_sink: Any, lake: Bucket) -> None:
    load = make_load()

    certificate = run(new_sink(), load, [])

    assert certificate.parts == []
    assert certificate.counts.read == 0
    assert lake.manifest()["parts"] == []
    assert lake.parts() == {}


def test_a_part_of_dead_letters_alone_has_no_rows_object(new_sink: Any, lake: Bucket) -> None:
    load = make_load()

    certificate = run(new_sink(), load, batches_of(load, 100, dead=range(100)))

    assert certificate.parts == []
    assert certificate.counts.dead_letters == 100
    letters = lake.read(lake.listed("raw/_dead_letters/")[0]).splitlines()
    assert json.loads(letters[5])["source_offset"] == 5 * LENGTH


def test_dead_letters_are_encrypted_where_asked(new_sink: Any, lake: Bucket) -> None:
    load = make_load()

    run(new_sink(dead_letter_raw="encrypt", encrypt=lambda raw, _: raw[::-1]), load, batches_of(load, 10, dead={3}))

    [key] = lake.listed("raw/_dead_letters/")
    letter = json.loads(lake.read(key))
    assert letter["raw_form"] == "encrypted"
    assert letter["raw"].encode() == make_dead_letter(3).raw[::-1]


def test_extra_arguments_go_with_every_object(new_sink: Any, lake: Bucket, client: Any, bucket: str) -> None:
    load = make_load()
    extra = {"ServerSideEncryption": "AES256", "StorageClass": "STANDARD_IA", "Tagging": "team=care"}

    run(new_sink(extra_args=extra), load, batches_of(load, 120))

    for key in lake.listed():
        head = client.head_object(Bucket=bucket, Key=key)
        assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")
        assert client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "team", "Value": "care"}]


def test_extra_arguments_go_with_a_part_that_is_sent_in_pieces(
    new_sink: Any, lake: Bucket, client: Any, bucket: str
) -> None:
    load = make_load()
    extra = {
        "ServerSideEncryption": "AES256",
        "StorageClass": "STANDARD_IA",
        "Tagging": "team=care",
        "Metadata": {"a": "b"},
    }

    run(new_sink(output_format="ndjson", extra_args=extra), load, bulky(load, 12, size=12))

    [key] = lake.parts()
    head = client.head_object(Bucket=bucket, Key=key)
    assert head["ETag"].strip('"').endswith("-2")
    assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")
    assert head["Metadata"] == {"a": "b"}
    assert client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "team", "Value": "care"}]


def test_hostile_ids_and_prefixes_stay_inside_their_keys(new_sink: Any, lake: Bucket) -> None:
    load = make_load(load_id="../a b/ü?#%2e")

    run(new_sink(prefix="/team é/raw data/"), load, batches_of(load, 10))

    assert all(key.startswith("team é/raw data/") for key in lake.listed())
    assert {key.count("/") for key in lake.listed("team é/raw data/dt=")} == {4, 5}


@pytest.mark.outcome("object stores", "a part is not as it was written", "AccountError")
@pytest.mark.parametrize("change", ["removed", "cut", "replaced"])
def test_a_part_that_is_not_as_it_was_written_fails_the_load(
    new_sink: Any, lake: Bucket, client: Any, bucket: str, change: str
) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 200):
        written(sink, batch)
    key, body = next(iter(lake.parts().items()))
    if change == "removed":
        client.delete_object(Bucket=bucket, Key=key)
    else:
        client.put_object(Bucket=bucket, Key=key, Body=body[:-1] + (b"?" if change == "replaced" else b""))

    with pytest.raises(AccountError, match=key):
        sink.finish(make_certificate(load, make_checkpoint(load, 200)))

    assert LOAD + "_manifest.json" not in lake.listed()


def test_the_same_bytes_under_another_etag_pass(new_sink: Any, lake: Bucket, client: Any, bucket: str) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 100):
        written(sink, batch)
    [(key, body)] = lake.parts().items()
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    target = {"Bucket": bucket, "Key": key, "UploadId": upload}
    etag = client.upload_part(**target, PartNumber=1, Body=body)["ETag"]
    client.complete_multipart_upload(**target, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})

    assert sink.finish(make_certificate(load, make_checkpoint(load, 100))).counts.read == 100


def test_a_gap_between_batches_is_a_bug_that_shows(new_sink: Any) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    written(sink, make_batch(load, range(10)))

    with pytest.raises(AccountError, match="byte 13200, but the load has come to byte 12000"):
        written(sink, make_batch(load, range(11, 20)))
