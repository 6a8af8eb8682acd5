"""The proxy as a separate process: ``python -m airflow_provider_genesys.testing.fault_proxy``."""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, get_args

from airflow_provider_genesys.testing.fault_proxy.fault import Ending, Fault, Form, Framing
from airflow_provider_genesys.testing.fault_proxy.proxy import FaultProxy

_DESCRIPTION = """\
Is placed in front of an HTTP server and spoils its answers: one --fault for each request, in order; after them requests
pass untouched.
"""

_FAULTS = """\
a fault is a text of settings, all of them optional, quoted as in a shell:
  after=N               end the connection after N bytes of the body
  then=reset|close|stall  how it ends: reset (as it is without this), in order, or in silence
  no_head               end it without any answer
  wait=S  linger=S      seconds of silence before the answer, and after it
  rate=N                bytes of the body per second
  status=N              another status; with body=TEXT the origin is not asked at all
  header=NAME:VALUE     set a header of the answer; header=NAME takes it away; may be repeated.
                        {first}, {last}, {total} and {etag} stand for what the origin says
  request=NAME:VALUE    the same for a header of the request; request=Range turns a range into the whole
  form=garbled|gzip|multipart
                        other bytes, packed, or wrapped as multipart/byteranges
  framing=chunked|close chunked, or without any length
  extra=TEXT            bytes after the end of the body
  pass                  let this request pass as it is

examples:
  every transfer breaks after 10 MB:
    ... --origin http://127.0.0.1:8080 --path /archive/ --fault after=10000000 --forever
  a break, a store that is busy, then an archive that has changed:
    ... --origin http://127.0.0.1:8080 --path /archive/ --fault after=50000 \\
        --fault 'status=503 body= header=Retry-After:2' --fault header=ETag:other
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO, format="%(asctime)s %(message)s")
    try:
        proxy = FaultProxy(options.origin, host=options.host, port=options.port, keep_host=not options.origin_host)
        proxy.plan(*options.faults, path=options.path, forever=options.forever)
        proxy.start()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write(f"Fault proxy at {proxy.url}\n")
    sys.stdout.flush()
    stop.wait()
    proxy.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_genesys.testing.fault_proxy",
        description=_DESCRIPTION,
        epilog=_FAULTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--origin", required=True, metavar="URL", help="base URL of the server behind the proxy")
    parser.add_argument(
        "--fault", dest="faults", type=parse, action="append", default=[], metavar="TEXT", help="see below; repeatable"
    )
    parser.add_argument(
        "--path", default="/", metavar="PREFIX", help="spoil only what is below this path (%(default)s)"
    )
    parser.add_argument("--forever", action="store_true", help="begin with the first fault again after the last")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (%(default)s)")
    parser.add_argument("--origin-host", action="store_true", help="send the origin's own Host, which Amazon S3 checks")
    parser.add_argument("--quiet", action="store_true", help="do not log requests")
    return parser


def parse(text: str) -> Fault | None:
    """Read a fault from the command line; ``pass`` is None.

    :raises argparse.ArgumentTypeError: it names an unknown setting, or a value that does not fit.
    """
    settings: dict[str, Any] = {}
    for word in shlex.split(text):
        name, _, value = word.partition("=")
        if name == "pass":
            return None
        if name not in SETTINGS:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no setting of a fault; there are {', '.join(SETTINGS)}, pass"
            )
        try:
            field, read = SETTINGS[name]
            found = read(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is no value for {name}") from None
        settings[field] = settings.get(field, {}) | found if isinstance(found, dict) else found
    return Fault(**settings)


def _one_of(choices: Any) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in get_args(choices):
            raise ValueError(value)
        return value

    return read


def _header(value: str) -> dict[str, str | None]:
    name, colon, text = value.partition(":")
    return {name: text if colon else None}


SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "after": ("after", int),
    "then": ("then", _one_of(Ending)),
    "no_head": ("no_head", lambda _: True),
    "wait": ("wait", float),
    "linger": ("linger", float),
    "rate": ("rate", float),
    "status": ("status", int),
    "body": ("body", str.encode),
    "header": ("headers", _header),
    "request": ("request_headers", _header),
    "form": ("form", _one_of(Form)),
    "framing": ("framing", _one_of(Framing)),
    "extra": ("extra", str.encode),
}
"""Setting on the command line: the field of :class:`Fault`, and how its text is read."""

if __name__ == "__main__":
    sys.exit(main())
