"""The fault proxy in front of the fake Genesys Cloud, seen by a plain HTTP client."""

from __future__ import annotations

import argparse
import gzip
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_client import EXPORTS, Client

from airflow_provider_genesys.testing.fault_proxy import Fault, FaultProxy, s3_error
from airflow_provider_genesys.testing.fault_proxy.__main__ import SETTINGS, main, parse
from airflow_provider_genesys.testing.fault_proxy.fixtures import fault_proxy  # noqa: F401 - a fixture
from tests.support.watching import until

STORE = "/archive/"


class Behind:
    """An archive behind a proxy."""

    def __init__(self, client: Client, proxy: FaultProxy) -> None:
        self.genesys = client.genesys
        self.proxy = proxy
        self.uri = proxy.front(client.completed()["fileUri"])
        self.whole = next(iter(client.genesys.exports.values())).archive.read()

    def get(self, *faults: Fault | None, **headers: str) -> httpx.Response:
        """Answer with ``faults``, and return the last answer."""
        self.proxy.plan(*faults)
        for _ in range(len(faults) or 1):
            answer = httpx.get(self.uri, headers=named(headers), timeout=2, verify=False)  # noqa: S501 - there is no TLS
        return answer

    def read(self, fault: Fault, **headers: str) -> tuple[bytes, httpx.TransportError | None]:
        """Return what came of the body, and how it broke."""
        body = bytearray()
        self.proxy.plan(fault)
        try:
            with httpx.stream("GET", self.uri, headers=named(headers), timeout=0.5) as answer:
                for chunk in answer.iter_raw():
                    body += chunk
        except httpx.TransportError as error:
            return bytes(body), error
        return bytes(body), None


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def behind(start: Callable[..., Client], fault_proxy: Callable[..., FaultProxy]) -> Behind:  # noqa: F811 - the fixture
    client = start(records=100)
    return Behind(client, fault_proxy(client.genesys.url))


# Untouched


def test_without_a_plan_everything_passes(behind: Behind) -> None:
    direct = httpx.get(behind.uri.replace(behind.proxy.url, behind.genesys.url))
    answer = behind.get()
    assert answer.content == behind.whole
    assert {**answer.headers, "date": ""} == {**direct.headers, "date": ""}


def test_a_presigned_url_stays_valid_and_a_changed_one_does_not(behind: Behind) -> None:
    part = behind.get(Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, behind.whole[10:20])
    assert httpx.get(behind.uri[:-1] + "0" * (behind.uri[-1] != "0")).status_code == 403


def test_the_whole_of_genesys_can_stand_behind_it(behind: Behind) -> None:
    with httpx.Client(base_url=behind.proxy.url) as client:
        form = {"grant_type": "client_credentials"}
        token = client.post("/oauth/token", data=form, auth=(behind.genesys.client_id, behind.genesys.client_secret))
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        export_id = next(iter(behind.genesys.exports))
        status = client.get(f"{EXPORTS}/{export_id}").json()
        assert status["fileUri"].startswith(behind.proxy.url)
        assert client.delete(f"{EXPORTS}/{export_id}").status_code == 204
        assert client.head(status["fileUri"]).status_code == 403  # signed for GET


def test_head_has_no_body_and_keeps_its_length(fault_proxy: Callable[..., FaultProxy]) -> None:  # noqa: F811
    origin = fault_proxy("http://127.0.0.1:9")
    origin.plan(Fault(body=b"12345"))
    answer = httpx.head(fault_proxy(origin.url).url)
    assert (answer.headers["Content-Length"], answer.content) == ("5", b"")


def test_clean_answers_share_a_connection_and_spoilt_ones_end_it(behind: Behind) -> None:
    with httpx.Client(timeout=2) as client:
        ports = []
        for fault in (None, None, Fault(headers={"X-Fault": "yes"}), None):
            behind.proxy.plan(fault)
            with client.stream("GET", behind.uri) as answer:
                ports.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
                answer.read()
    assert ports[0] == ports[1] == ports[2] != ports[3]


@pytest.mark.parametrize("keep_host", [True, False])
def test_the_origin_sees_one_host_or_the_other(
    keep_host: bool,
    start: Callable[..., Client],
    fault_proxy: Callable[..., FaultProxy],  # noqa: F811
) -> None:
    client = start(records=1)
    proxy = fault_proxy(client.genesys.url, keep_host=keep_host)
    export_id = client.create()
    headers = {"Authorization": client.headers["Authorization"]}
    uri = httpx.get(f"{proxy.url}{EXPORTS}/{export_id}", headers=headers).json()["fileUri"]
    assert uri.startswith(proxy.url if keep_host else client.genesys.url)


# Bodies that end badly


@pytest.mark.parametrize("after", [0, 1, 70_000, 124_027])
def test_a_reset_comes_after_so_many_bytes(behind: Behind, after: int) -> None:
    body, error = behind.read(Fault(after=after))
    assert body == behind.whole[:after]
    assert isinstance(error, httpx.ReadError)
    assert "reset" in str(error)
    assert behind.proxy.requests[-1].sent == after


def test_a_reset_can_come_before_any_answer(behind: Behind) -> None:
    body, error = behind.read(Fault(no_head=True))
    assert (body, type(error)) == (b"", httpx.ReadError)
    assert behind.proxy.requests[-1].status is None


def test_a_shorter_body_goes_out_whole(behind: Behind) -> None:
    assert behind.read(Fault(after=len(behind.whole) + 1)) == (behind.whole, None)


@pytest.mark.parametrize(
    ("framing", "says"),
    [(None, "received 5000 bytes, expected 1240"), ("chunked", "incomplete chunked read"), ("close", None)],
)
def test_a_body_is_cut(behind: Behind, framing: Any, says: str | None) -> None:
    body, error = behind.read(Fault(after=5000, then="close", framing=framing))
    assert body == behind.whole[:5000]
    assert says in str(error) if says else error is None


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_body_comes_whole_in_another_framing(behind: Behind, framing: Any) -> None:
    answer = behind.get(Fault(framing=framing))
    assert answer.content == behind.whole
    assert "Content-Length" not in answer.headers


def test_a_stall_lasts_until_the_client_goes(behind: Behind) -> None:
    body, error = behind.read(Fault(after=5000, then="stall"))
    assert (body, type(error)) == (behind.whole[:5000], httpx.ReadTimeout)


def test_bytes_follow_the_end(behind: Behind) -> None:
    assert behind.get(Fault(extra=b"and more")).content == behind.whole
    behind.proxy.plan(Fault(body=b"12345", extra=b"and more"))
    with socket.create_connection(("127.0.0.1", int(behind.proxy.url.rpartition(":")[2])), timeout=2) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in head
    assert body == b"12345and more"


@pytest.mark.parametrize(
    "fault",
    [Fault(wait=0.3), Fault(linger=0.3, framing="close"), Fault(rate=10, body=b"abcd")],
    ids=["wait", "linger", "rate"],
)
def test_answers_take_their_time(behind: Behind, fault: Fault) -> None:
    began = time.monotonic()
    assert behind.get(fault).status_code == 200
    assert time.monotonic() - began > 0.29


# Heads and bodies that are not what they were


def test_headers_are_set_filled_in_and_taken_away(behind: Behind) -> None:
    changes = {
        "Content-Range": "bytes 1-{last}/{total}0",
        "etag": '"{etag}-gzip"',
        "Accept-Ranges": None,
        "X": "{first}",
    }
    before = behind.get(Range="bytes=100-")
    headers = behind.get(Fault(headers=changes), Range="bytes=100-").headers
    assert headers["Content-Range"] == f"bytes 1-{len(behind.whole) - 1}/{len(behind.whole)}0"
    assert headers["ETag"] == before.headers["ETag"][:-1] + '-gzip"'
    assert "Accept-Ranges" not in headers
    assert headers["X"] == "100"
    assert headers["Content-Type"] == before.headers["Content-Type"]


def test_a_whole_can_call_itself_a_part(behind: Behind) -> None:
    answer = behind.get(Fault(status=206, headers={"Content-Range": "bytes {first}-{last}/{total}"}))
    assert (answer.status_code, answer.reason_phrase) == (206, "Partial Content")
    assert answer.headers["Content-Range"] == f"bytes 0-{len(behind.whole) - 1}/{len(behind.whole)}"


def test_the_request_can_be_changed(behind: Behind) -> None:
    assert behind.get(Fault(request_headers={"range": None}), Range="bytes=100-").content == behind.whole
    assert behind.get(Fault(request_headers={"If-Match": None}), If_Match='"other"').status_code == 200
    assert behind.get(None, If_Match='"other"').status_code == 412


def test_other_bytes_keep_head_and_length(behind: Behind) -> None:
    before, answer = behind.get(), behind.get(Fault(form="garbled"))
    assert len(answer.content) == len(behind.whole)
    assert all(a != b for a, b in zip(answer.content, behind.whole, strict=True))
    assert answer.headers["ETag"] == before.headers["ETag"]


def test_a_gzip_appears(behind: Behind) -> None:
    body, _ = behind.read(Fault(form="gzip"))
    assert gzip.decompress(body) == behind.whole
    assert behind.get(Fault(form="gzip")).headers["Content-Encoding"] == "gzip"


def test_a_part_is_wrapped_as_multipart(behind: Behind) -> None:
    answer = behind.get(Fault(form="multipart"), Range="bytes=10-19")
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert "Content-Range" not in answer.headers
    boundary = answer.headers["Content-Type"].rpartition("=")[2].encode()
    _, one, end = answer.content.split(b"--" + boundary)
    head, body = one.split(b"\r\n\r\n")
    assert f"Content-Range: bytes 10-19/{len(behind.whole)}".encode() in head
    assert (body, end) == (behind.whole[10:20] + b"\r\n", b"--\r\n")


def test_a_body_of_ones_own_leaves_the_origin_alone(behind: Behind) -> None:
    answer = behind.get(Fault(status=302, headers={"Location": "http://elsewhere/"}, body=b"there"))
    assert (answer.status_code, answer.text, answer.headers["Location"]) == (302, "there", "http://elsewhere/")
    assert "Date" in answer.headers
    assert not [seen for seen in behind.genesys.requests if seen.path.startswith(STORE)]


def test_an_error_looks_like_that_of_s3(behind: Behind) -> None:
    answer = behind.get(s3_error(503, "Slow down, please.", headers={"Retry-After": "3"}))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert "<Code>SlowDown</Code><Message>Slow down, please.</Message>" in answer.text


def test_an_origin_that_is_gone_is_a_502(fault_proxy: Callable[..., FaultProxy]) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert httpx.get(fault_proxy(f"http://127.0.0.1:{port}").url).status_code == 502


# The plan and the log


def test_faults_come_in_order_and_end(behind: Behind) -> None:
    behind.proxy.plan(Fault(status=500, body=b""), None, Fault(status=502, body=b""))
    assert [behind.get().status_code for _ in range(4)] == [500, 200, 502, 200]


def test_a_plan_can_be_for_one_path_and_without_end(behind: Behind) -> None:
    behind.proxy.plan(Fault(status=500, body=b""), None, path=STORE, forever=True)
    assert httpx.get(f"{behind.proxy.url}/elsewhere").status_code == 401
    assert [behind.get().status_code for _ in range(4)] == [500, 200, 500, 200]
    behind.proxy.clear()
    assert behind.get().status_code == 200


def test_the_log_tells_requests_without_signatures(behind: Behind) -> None:
    behind.get(Range="bytes=100-", If_Match="*")
    fault = Fault(status=503, body=b"busy")
    behind.get(fault)
    first, second = behind.proxy.requests
    assert (first.method, first.path, first.range, first.if_match) == ("GET", second.path, "bytes=100-", "*")
    assert (first.status, first.sent, first.fault) == (206, len(behind.whole) - 100, None)
    assert (second.range, second.status, second.sent, second.fault) == (None, 503, 4, fault)
    assert "X-Amz" not in repr(behind.proxy.requests)


def test_closing_ends_what_is_under_way_and_leaves_nothing(behind: Behind) -> None:
    threads = set(threading.enumerate())
    with FaultProxy(behind.genesys.url) as proxy:
        proxy.plan(Fault(after=10, then="stall"), Fault(wait=60), Fault(rate=1))
        clients = [socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2]))) for _ in range(3)]
        target = behind.uri.removeprefix(behind.proxy.url)
        for client in clients:
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while len(proxy.requests) < 3:
            time.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 30, "an answer waits for 60 s"
    until(lambda: set(threading.enumerate()) <= threads, what="the end of the threads")
    for client in clients:
        client.close()


def test_an_origin_that_is_no_url_is_refused_without_its_query() -> None:
    with pytest.raises(ValueError, match="must be an http or https URL, not 'ftp://x/'"):
        FaultProxy("ftp://x/?signature=1")


# The command line


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("after=10 then=stall", Fault(after=10, then="stall")),
        ("no_head then=close", Fault(no_head=True, then="close")),
        ("rate=1.5 wait=2 linger=3", Fault(rate=1.5, wait=2, linger=3)),
        ("status=503 body= header=Retry-After:2", Fault(status=503, body=b"", headers={"Retry-After": "2"})),
        ("header='Date:Mon, 1' header=ETag", Fault(headers={"Date": "Mon, 1", "ETag": None})),
        ("request=Range form=gzip", Fault(request_headers={"Range": None}, form="gzip")),
        ("framing=chunked extra='a b'", Fault(framing="chunked", extra=b"a b")),
        ("pass", None),
    ],
)
def test_a_fault_is_read_from_text(text: str, fault: Fault | None) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize(
    ("text", "says"), [("after=x", "'x' is no value"), ("then=burn", "'burn'"), ("x=1", "after, then")]
)
def test_a_fault_that_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=says):
        parse(text)


def test_a_fault_shows_what_is_not_as_usual() -> None:
    assert str(Fault(after=10, then="stall")) == "after=10 then='stall'"


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert [name for name in [*SETTINGS, "pass"] if name not in told] == []


@pytest.fixture
def process(behind: Behind) -> Iterator[subprocess.Popen[str]]:
    """The proxy as a process of its own, in front of the fake."""
    command = [sys.executable, "-m", "airflow_provider_genesys.testing.fault_proxy", "--origin", behind.genesys.url]
    options = ["--port", "0", "--path", STORE, "--fault", "pass", "--fault", "status=418 body=tea"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_it_runs_as_a_process(behind: Behind, process: subprocess.Popen[str]) -> None:
    assert process.stdout
    url = process.stdout.readline().removeprefix("Fault proxy at ").strip()
    target = url + behind.uri.removeprefix(behind.proxy.url)
    assert [httpx.get(target).status_code for _ in range(3)] == [200, 418, 200]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "GET /archive/" in log
    assert "status=418" in log
    assert "X-Amz-Signature" not in log


def test_a_port_that_is_taken_is_an_error_of_usage(behind: Behind, capsys: pytest.CaptureFixture[str]) -> None:
    port = behind.proxy.url.rpartition(":")[2]
    with pytest.raises(SystemExit) as ended:
        main(["--origin", behind.genesys.url, "--port", port])
    assert ended.value.code == 2
    assert "in use" in capsys.readouterr().err


# The documentation

PAGE = (Path(__file__).parents[3] / "docs" / "fault-proxy.md").read_text()


def test_the_page_names_every_setting() -> None:
    assert [name for name in SETTINGS if f"`{name}" not in PAGE] == []
    assert [one.name for one in fields(Fault) if f"`{one.name}=" not in PAGE] == []


def test_every_recipe_can_be_planned() -> None:
    names = {"proxy": FaultProxy("http://127.0.0.1:9"), "Fault": Fault, "s3_error": s3_error}
    _, *rows = PAGE.partition("## Recipes\n\n")[2].partition("\n\n")[0].split("\n|")
    for row in rows[1:]:
        found = re.findall(r"`((?:proxy\.plan|Fault|s3_error)\(.+?\))`", row)
        assert found, row
        for recipe in found:
            eval(recipe, names)  # noqa: S307 - our own page
