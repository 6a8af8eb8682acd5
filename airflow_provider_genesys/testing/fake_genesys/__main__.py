"""The fake as a separate process: ``python -m airflow_provider_genesys.testing.fake_genesys``."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_provider_genesys.testing.fake_genesys.fake import FakeGenesys
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_DEFAULT = Settings(job_seconds=20, port=8080)

_EXAMPLES = """\
examples:
  a day with 50,000 recordings, 25 of them broken, in a job that takes 5 seconds:
    python -m airflow_provider_genesys.testing.fake_genesys --records 50000 --broken 25 --job-seconds 5
  a 5 GB gzip of several members, and tokens that last a minute:
    python -m airflow_provider_genesys.testing.fake_genesys --size 5GB --multi-member --token-seconds 60
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    quiet = options.pop("quiet")
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(message)s")
    try:
        genesys = FakeGenesys(**options).start()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write(f"Fake Genesys Cloud at {genesys.url}\n")
    sys.stdout.write(f"export AIRFLOW_CONN_GENESYS_DEFAULT='{genesys.connection_json()}'\n")
    sys.stdout.flush()
    stop.wait()
    genesys.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_genesys.testing.fake_genesys",
        description="A Genesys Cloud that runs on this machine, to test DAGs against: token endpoint, archive export "
        "and presigned download on one port. Prints its URL and the Airflow connection that leads to it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(parser.add_argument_group("what an export holds"))
    _add_defects(parser.add_argument_group("what is wrong with it"))
    _add_behaviour(parser.add_argument_group("how it behaves"))
    _add_server(parser.add_argument_group("where it listens"))
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    amount = group.add_mutually_exclusive_group()
    amount.add_argument(
        "--records", type=int, default=_DEFAULT.records, metavar="N", help="records in every export (%(default)s)"
    )
    amount.add_argument("--size", type=_bytes, metavar="SIZE", help="or its uncompressed size, such as 300MB or 5GB")
    group.add_argument(
        "--seed", type=int, default=_DEFAULT.seed, metavar="N", help="same seed and window, same bytes (%(default)s)"
    )
    group.add_argument(
        "--format",
        dest="file_format",
        choices=("ndjson", "json", "json-pretty"),
        help="deliver this format whatever was asked for",
    )
    packed = group.add_mutually_exclusive_group()
    packed.add_argument("--gzip", dest="compression", action="store_const", const="gzip", help="deliver a gzip")
    packed.add_argument(
        "--multi-member",
        dest="compression",
        action="store_const",
        const="gzip-members",
        help="deliver a gzip of several members",
    )
    group.add_argument(
        "--on-disk",
        action="store_true",
        help="write archives to a temporary file before they are served: faster, for benchmarks",
    )


def _add_defects(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--broken",
        type=_number_or_share,
        default=0,
        metavar="N",
        help="broken records: a number (25) or a share (0.001)",
    )
    group.add_argument(
        "--duplicates",
        type=_number_or_share,
        default=0,
        metavar="N",
        help="records that repeat an id: a number or a share, at most half",
    )
    group.add_argument(
        "--unbalanced",
        dest="balanced",
        action="store_false",
        help="cut truncated records short in arrays too, their brackets left open",
    )


def _add_behaviour(group: argparse._ArgumentGroup) -> None:
    for name, default, text in (
        ("job-seconds", _DEFAULT.job_seconds, "how long an export is QUEUED and RUNNING"),
        ("token-seconds", _DEFAULT.token_seconds, "lifetime of a token"),
        ("url-seconds", _DEFAULT.url_seconds, "lifetime of a presigned URL"),
    ):
        group.add_argument(f"--{name}", type=int, default=default, metavar="S", help=f"{text} (%(default)s)")
    group.add_argument(
        "--requests-per-minute",
        type=int,
        default=_DEFAULT.requests_per_minute,
        metavar="N",
        help="requests that one token may make before it gets 429 (%(default)s)",
    )
    group.add_argument(
        "--outcome",
        default=_DEFAULT.outcome,
        metavar="STATE",
        help="state that exports end in: COMPLETED, FAILED, CANCELLED, EXPIRED or any other word (%(default)s)",
    )


def _add_server(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--host", default=_DEFAULT.host, help="address; 0.0.0.0 for other containers and machines (%(default)s)"
    )
    group.add_argument("--port", type=int, default=_DEFAULT.port, help="0 takes a free one (%(default)s)")
    group.add_argument("--quiet", action="store_true", help="do not log requests")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([\d.]+)\s*([KMG]?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 300MB or 5GB")
    return round(float(found[1]) * _UNITS[found[2].upper()])


def _number_or_share(text: str) -> float:
    return float(text) if "." in text else int(text)


if __name__ == "__main__":
    sys.exit(main())
