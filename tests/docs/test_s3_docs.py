"""What docs/s3.md tells readers to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import airflow_provider_genesys
from airflow_provider_genesys.times import now
from tests.sinks.batches import LENGTH, make_load
from tests.sinks.lake import batches_of, bulky, ids, run

PAGE = Path(airflow_provider_genesys.__file__).parents[1] / "docs" / "s3.md"


def test_the_reader_of_the_docs_sees_one_whole_load_at_any_time(new_sink: Any, client: Any) -> None:
    shown: dict[str, Any] = {}
    [code, *_] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(code, shown)  # noqa: S102 - our own page
    first, second = make_load("export-1"), make_load("export-2", submitted_at=now())
    location = run(new_sink(), first, batches_of(first, 230, dead={7})).location

    sink = new_sink()
    sink.open(second, restart=False)
    for batch in batches_of(second, 150):
        sink.write(batch)

    read = [row["recordingId"] for row in shown["rows"](client, location)]
    assert read == ids(number for number in range(230) if number != 7)


def test_the_rights_in_the_docs_are_the_requests_that_are_made(new_sink: Any, client: Any) -> None:
    """Every operation that a load makes needs one of the actions on the page."""
    allowed = set(re.findall(r'"s3:(\w+)"', PAGE.read_text()))
    needed = {
        "ListObjectsV2": "ListBucket",
        "ListMultipartUploads": "ListBucketMultipartUploads",
        "GetObject": "GetObject",
        "PutObject": "PutObject",
        "CreateMultipartUpload": "PutObject",
        "UploadPart": "PutObject",
        "CompleteMultipartUpload": "PutObject",
        "AbortMultipartUpload": "AbortMultipartUpload",
        "DeleteObject": "DeleteObject",
    }
    made: set[str] = set()
    client.meta.events.register("before-call.s3", lambda model, **_: made.add(model.name))
    load, settings = make_load(), {"output_format": "ndjson", "part_size": 20 * LENGTH}

    dying = new_sink(**settings)
    dying.open(load, restart=False)
    for batch in bulky(load, 10, size=10):
        dying.write(batch)
    for one in (load, make_load("export-2", submitted_at=now())):
        run(new_sink(**settings), one, bulky(one, 10, size=10))

    assert made == needed.keys()
    assert {needed[operation] for operation in made} == allowed
