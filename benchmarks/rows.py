"""The rows of the table: what is measured, against what, and which bar it is held against."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_genesys.testing.services import AzuriteServer, PostgresServer, S3Server
from benchmarks.archives import Shelf
from benchmarks.processes import Figures, apart, compared, curl, measured, node, python, serving, speed
from benchmarks.result import Result
from benchmarks.scale import PAGE_SIZE, USERS, Scale

DAGS = Path(__file__).resolve().parent.parent / "dags"
GB = 1e9

Row = Callable[[Shelf, Scale], Iterator[Result]]


def _against_node(what: str, kind: str, arguments: tuple[str, ...], bar: float) -> Row:
    def row(shelf: Shelf, scale: Scale) -> Iterator[Result]:
        url = shelf.url(kind, scale.megabytes)
        pair = compared(python("load", url), node(url, *arguments), scale.runs)
        detail = f"{speed(pair.ours):.0f} MB/s, Node {speed(pair.theirs):.0f} MB/s"
        yield Result(f"{what} → null sink, against Node", pair.throughput, bar, at_least=True, detail=detail)

    return row


def _server(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url = shelf.url("ndjson", scale.megabytes)
    pair = compared(curl(url), python("load", url), scale.runs)
    detail = f"curl {speed(pair.ours):,.0f} MB/s, a load {speed(pair.theirs):.0f} MB/s"
    what = "the benchmark's own server, read by curl, against a load"
    yield Result(what, pair.throughput, 3, at_least=True, detail=detail)


def _cpu(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    path = shelf.path("ndjson", scale.megabytes)
    pair = compared(python("load", shelf.url("ndjson", scale.megabytes)), python("orjson_floor", str(path)), scale.runs)
    ours, theirs = (figures["cpu"] / figures["bytes"] * GB for figures in (pair.ours, pair.theirs))
    detail = f"{ours:.2f} CPU s/GB, orjson {theirs:.2f}"
    yield Result("CPU, against decoding in memory with orjson", ours / theirs, 1.25, at_least=False, detail=detail)


def _slower(what: str, kind: str, bar: float) -> Row:
    def row(shelf: Shelf, scale: Scale) -> Iterator[Result]:
        odd, clean = (python("load", shelf.url(name, scale.megabytes)) for name in (kind, "ndjson"))
        pair = compared(odd, clean, scale.runs)
        detail = f"{speed(pair.ours):.0f} MB/s, without {speed(pair.theirs):.0f} MB/s"
        yield Result(what, 1 / pair.throughput, bar, at_least=False, detail=detail)

    return row


def _s3(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url = shelf.url("ndjson", scale.megabytes)
    server = S3Server()
    with apart(server):
        place = f"{server.endpoint_url}/{server.create_bucket('bench')}"
        yield _against_upload("S3 gzip sink (moto), against boto3's own upload", "s3", place, shelf, scale)
        pair = compared(
            python("load", url, "--sink", "s3", "--place", place),
            python("load", url, "--sink", "null-gzip"),
            scale.runs,
        )
    detail = f"{speed(pair.ours):.0f} MB/s, packing alone {speed(pair.theirs):.0f} MB/s"
    what = "S3 gzip sink (moto), against the null sink with the same compressor"
    yield Result(what, pair.throughput, 0.8, at_least=True, detail=detail)


def _landing(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url, path = shelf.url("ndjson", scale.megabytes), shelf.path("ndjson", scale.megabytes)
    server = S3Server()
    with apart(server):
        place = f"{server.endpoint_url}/{server.create_bucket('bench')}"
        bare = python("bare_upload", "s3", str(path), place, "as-it-is")
        pair = compared(python("land", url, place), bare, scale.runs)
    detail = f"{speed(pair.ours):.0f} MB/s, sending the file {speed(pair.theirs):.0f} MB/s"
    what = "an archive landed as it is (moto), against boto3's own upload"
    yield Result(what, pair.throughput, 0.8, at_least=True, detail=detail)
    yield Result(
        "an archive landed: peak above imports", _growth(pair.ours), 64, at_least=False, detail="", unit=" MiB"
    )


def _azure(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    server = AzuriteServer()
    with apart(server):
        place = f"{server.account_url}/{server.create_container('bench')}"
        yield _against_upload("Azure gzip sink (Azurite), against the SDK's own upload", "azure", place, shelf, scale)


def _against_upload(what: str, sink: str, place: str, shelf: Shelf, scale: Scale) -> Result:
    ours = python("load", shelf.url("ndjson", scale.megabytes), "--sink", sink, "--place", place)
    path = shelf.path("ndjson", scale.megabytes)
    pair = compared(ours, python("bare_upload", sink, str(path), place), scale.runs)
    detail = f"{speed(pair.ours):.0f} MB/s, packing and sending the file {speed(pair.theirs):.0f} MB/s"
    return Result(what, pair.throughput, 0.8, at_least=True, detail=detail)


def _sqs(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url, path = shelf.url("ndjson", scale.messages), shelf.path("ndjson", scale.messages)
    with S3Server() as server:
        ours = python("load", url, "--sink", "sqs", "--place", server.endpoint_url)
        pair = compared(ours, python("bare_sqs", str(path), server.endpoint_url), scale.runs)
    ratio = pair.ours["records"] / pair.ours["seconds"] / (pair.theirs["records"] / pair.theirs["seconds"])
    detail = f"{_rate(pair.ours)}, bare {_rate(pair.theirs)}"
    yield Result(
        "SQS sink (moto), against boto3's batches of the same bodies", ratio, 0.8, at_least=True, detail=detail
    )


def _postgres(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url, path = shelf.url("ndjson", scale.megabytes), shelf.path("ndjson", scale.megabytes)
    what = "against bare COPY + upsert of the same rows"
    with PostgresServer(durable=True) as server:
        alone = python("load", url, "--sink", "postgres", "--place", server.dsn)
        bare = python("bare_copy", str(path), server.dsn)
        yield _against_bare(f"PostgreSQL sink, {what}", alone, bare, 1.3, scale)
        two = [*alone, "--processes", "2"]
        yield _against_bare(f"PostgreSQL sink with processes=2, {what}", two, bare, 1.6, scale)


def _against_bare(what: str, ours: list[str], bare: list[str], bar: float, scale: Scale) -> Result:
    pair = compared(ours, bare, scale.runs)
    ratio = pair.ours["records"] / pair.ours["seconds"] / (pair.theirs["records"] / pair.theirs["seconds"])
    detail = f"{_rate(pair.ours)}, bare {_rate(pair.theirs)}"
    return Result(what, ratio, bar, at_least=True, detail=detail)


def _parquet(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    yield from _against_duckdb("NDJSON → Parquet", [], 0.6, shelf, scale)


def _processes(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url = shelf.url("varied", scale.megabytes)
    for form in ("ndjson.gz", "parquet"):
        with _scratch() as folder:
            alone = python("load", url, "--sink", form, "--place", folder)
            pair = compared([*alone, "--processes", "2"], alone, scale.runs)
        detail = f"{speed(pair.ours):.0f} MB/s, one process {speed(pair.theirs):.0f} MB/s"
        what = f"NDJSON → {form} in a folder with processes=2, against one process"
        yield Result(what, pair.throughput, 1.6, at_least=True, detail=detail)
    yield from _against_duckdb("NDJSON → Parquet with processes=2", ["--processes", "2"], 1, shelf, scale)


def _cores(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    """Compare two cores with one: the loads are pinned to them, and the server of archives runs on any."""
    url = shelf.url("varied", scale.megabytes)
    for form in ("ndjson.gz", "parquet"):
        with _scratch() as folder:
            load = python("load", url, "--sink", form, "--place", folder)
            pair = compared([*load, "--processes", "2", "--cores", "2"], [*load, "--cores", "1"], scale.runs)
        detail = f"{speed(pair.ours):.0f} MB/s, on one core {speed(pair.theirs):.0f} MB/s"
        what = f"NDJSON → {form} in a folder with processes=2 on two cores, against one process on one core"
        yield Result(what, pair.throughput, 1.6, at_least=True, detail=detail)
        if form == "ndjson.gz":
            what = "NDJSON → ndjson.gz with processes=2: peak of all processes above imports"
            detail = f"one process on one core {_growth(pair.theirs):.0f} MiB"
            yield Result(what, _growth(pair.ours), 176, at_least=False, detail=detail, unit=" MiB")


def _against_duckdb(what: str, options: list[str], bar: float, shelf: Shelf, scale: Scale) -> Iterator[Result]:
    """Compare both kinds of text: DuckDB's zstd finds text that comes again."""
    for kind, of in ("varied", ""), ("ndjson", " (an archive that repeats its text)"):
        url, path = shelf.url(kind, scale.megabytes), shelf.path(kind, scale.megabytes)
        with _scratch() as folder:
            ours = python("load", url, "--sink", "parquet", "--place", folder, *options)
            pair = compared(ours, python("duckdb_parquet", str(path), folder), scale.runs)
        detail = f"{speed(pair.ours):.0f} MB/s, DuckDB {speed(pair.theirs):.0f} MB/s"
        yield Result(f"{what}, against DuckDB: speed{of}", pair.throughput, bar, at_least=True, detail=detail)
        grown, theirs = _growth(pair.ours), _growth(pair.theirs)
        detail = f"{grown:.0f} MiB in all processes, DuckDB {theirs:.0f} MiB"
        yield Result(f"{what}, against DuckDB: memory{of}", grown / theirs, 1 / 3, at_least=False, detail=detail)
        if not options and not of:
            yield Result("Parquet: peak above imports", grown, 160, at_least=False, detail="", unit=" MiB")


def _memory(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    small = measured(python("load", shelf.url("ndjson", 100)), scale.runs)
    large = measured(python("load", shelf.url("ndjson", scale.largest)), 1)
    whole = measured(python("whole_body", shelf.url("ndjson", 100)), 1)
    shelf.path("ndjson", scale.largest).unlink()
    detail = f"reading a body of 100 MB whole, as HttpToS3Operator does: {_growth(whole):.0f} MiB"
    yield Result("peak above imports", _growth(large), 64, at_least=False, detail=detail, unit=" MiB")
    detail = f"{small['peak_mib']:.1f} and {large['peak_mib']:.1f} MiB in all"
    what = f"growth of the peak from 100 to {scale.largest:,} MB"
    yield Result(what, large["peak_mib"] - small["peak_mib"], 4, at_least=False, detail=detail, unit=" MiB")


def _slow_sink(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url = shelf.url("ndjson", scale.slow)
    figures = measured(python("load", url, "--sink", "slow", "--place", "1000000"), 1)
    detail = "a sink that takes 1 MB/s"
    yield Result("peak above imports, slow sink", _growth(figures), 64, at_least=False, detail=detail, unit=" MiB")
    figures = measured(python("load", shelf.url("wide", scale.megabytes)), 1)
    detail = "records of 10 MB"
    yield Result("peak above imports, huge records", _growth(figures), 256, at_least=False, detail=detail, unit=" MiB")


def _latency(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    full = measured(python("latency", shelf.url("ndjson", scale.megabytes)), scale.runs)
    detail = f"p50 {full['p50_ms']:.1f} ms"
    yield Result("arrival → sink, p99, at full speed", full["p99_ms"], 5, at_least=False, detail=detail, unit=" ms")
    slow = measured(python("latency", f"{shelf.url('ndjson', scale.slow)}?rate=1000000"), 1)
    detail = f"p50 {slow['p50_ms']:.1f} ms"
    yield Result(
        "arrival → sink, p99, on a link of 1 MB/s", slow["p99_ms"], 100, at_least=False, detail=detail, unit=" ms"
    )


def _resume(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    for kind, megabytes in (("ndjson", scale.megabytes), ("gzip", scale.megabytes), ("array", 3 * scale.megabytes)):
        url, unpacked = shelf.url(kind, megabytes), megabytes * 1_000_000
        figures = measured(python("resume", url, str(unpacked)), scale.runs)
        detail = f"half-way of {megabytes:,} MB; {figures['unpacked_again'] / 1e6:.2f} MB unpacked again"
        bar = megabytes / 2 / 100 if kind == "gzip" else 1.0
        what = f"first new record after a kill, {kind}"
        yield Result(what, figures["first_record_s"], bar, at_least=False, detail=detail, unit=" s")


def _shards(shelf: Shelf, scale: Scale) -> Iterator[Result]:
    url = shelf.url("ndjson", scale.megabytes)
    pair = compared(python("shards", url, "2"), python("load", url), scale.runs)
    detail = (
        f"{speed(pair.ours):.0f} MB/s, one process {speed(pair.theirs):.0f} MB/s; "
        f"the plan takes {pair.ours['plan_s'] * 1000:.0f} ms of it"
    )
    yield Result("two shards in two processes, against one process", pair.throughput, 1.7, at_least=True, detail=detail)


def _pages(_: Shelf, scale: Scale) -> Iterator[Result]:
    with _scratch() as folder, serving("details_server", folder, str(scale.pages), str(PAGE_SIZE)) as connection:
        figures = measured(python("pages", connection, str(PAGE_SIZE)), scale.runs)
    detail = (
        f"{scale.pages} pages of {PAGE_SIZE} conversations of {figures['bytes'] / figures['records'] / 1000:.0f} KB, "
        f"{figures['children'] / figures['records']:.0f} child rows each; {figures['cpu']:.1f} s of CPU"
    )
    what = "cursor pages → contract and child tables → null sink"
    yield Result(what, speed(figures), 60, at_least=True, detail=detail, unit=" MB/s")
    yield Result("cursor pages: peak above imports", _growth(figures), 64, at_least=False, detail="", unit=" MiB")


def _aggregates(_: Shelf, scale: Scale) -> Iterator[Result]:
    figures = measured(python("aggregates", str(scale.aggregates)), scale.runs)
    detail = f"{figures['records']:,.0f} rows, {figures['cpu']:.1f} s of CPU"
    what = "aggregates: groups, buckets and metrics as rows → contract → null sink"
    yield Result(what, speed(figures), 60, at_least=True, detail=detail, unit=" MB/s")
    yield Result("aggregates: peak above imports", _growth(figures), 64, at_least=False, detail="", unit=" MiB")


def _listing(_: Shelf, scale: Scale) -> Iterator[Result]:
    with _scratch() as folder, serving("listing_server", folder, str(scale.listing), str(USERS)) as connection:
        pair = compared(*(python(name, connection, str(USERS)) for name in ("listing", "bare_listing")), scale.runs)
    ours, bare = (figures["records"] / figures["seconds"] for figures in (pair.ours, pair.theirs))
    detail = f"{ours:,.0f} rows/s, bare {bare:,.0f} rows/s; a walk reads each page twice, to know that it held still"
    what = "a listing by numbered pages → contract → null sink, against a bare client that only pages"
    yield Result(what, ours / bare, 0.3, at_least=True, detail=detail)
    yield Result("a listing: peak above imports", _growth(pair.ours), 32, at_least=False, detail="", unit=" MiB")


def _media(_: Shelf, scale: Scale) -> Iterator[Result]:
    with _scratch() as folder, serving("media_server", folder, "1", "5") as connection:
        ours, bare = (python(name, connection, str(scale.media)) for name in ("media", "bare_media"))
        pair, only_read = compared(ours, bare, scale.runs), measured([*bare, "only-read"], scale.runs)
    detail = (
        f"{scale.media:,} files, {speed(pair.ours):.0f} MB/s, bare {speed(pair.theirs):.0f} MB/s; a client that throws "
        f"all away {speed(only_read):.0f} MB/s"
    )
    what = "media of 1 to 5 MB, 8 at once, with its API calls → null store, against a bare client into the same"
    yield Result(what, pair.throughput, 0.8, at_least=True, detail=detail)
    detail = "8 files at once, two pieces of 5 MiB each"
    yield Result("media: peak above imports", _growth(pair.ours), 80, at_least=False, detail=detail, unit=" MiB")


def _parsing(_: Shelf, scale: Scale) -> Iterator[Result]:
    for path in sorted(DAGS.glob("*.py")):
        figures = measured(python("parsing", str(path)), scale.parses)
        detail = f"{figures['modules']:.0f} modules, {figures['heavy']:.0f} of them heavy"
        what = f"parse of {path.name} beyond Airflow's own"
        yield Result(what, figures["parse_ms"], 100, at_least=False, detail=detail, unit=" ms")


def _rate(figures: Figures) -> str:
    return f"{figures['records'] / figures['seconds']:,.0f} rows/s"


def _growth(figures: Figures) -> float:
    return figures["peak_mib"] - figures["base_mib"]


@contextmanager
def _scratch() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="genesys-bench-out-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


ROWS: dict[str, Row] = {
    "array": _against_node("JSON array", "array", ("array",), 12),
    "ndjson": _against_node("NDJSON", "ndjson", ("lines",), 2.6),
    "gzip": _against_node("NDJSON, gzip", "gzip", ("lines", "gzip"), 4),
    "server": _server,
    "cpu": _cpu,
    "postgres": _postgres,
    "s3": _s3,
    "landing": _landing,
    "azure": _azure,
    "sqs": _sqs,
    "parquet": _parquet,
    "processes": _processes,
    "cores": _cores,
    "memory": _memory,
    "bounded": _slow_sink,
    "latency": _latency,
    "hostile": _slower("a bad record in every hundred: times as long", "hostile", 3),
    "drift": _slower("an unknown field in every record: times as long", "drifting", 1.3),
    "resume": _resume,
    "shards": _shards,
    "pages": _pages,
    "aggregates": _aggregates,
    "listing": _listing,
    "media": _media,
    "parsing": _parsing,
}
