"""Which addresses are public, and that the address that was judged is the one that is connected to."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

import airflow_provider_genesys
from airflow_provider_genesys.cloud.addresses import PublicOnly, is_public
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.presigned import check_host
from airflow_provider_genesys.exceptions import UntrustedHostError
from airflow_provider_genesys.source.download_client import DownloadSettings, open_client

STORE = "store.s3.amazonaws.com"


@pytest.mark.parametrize(
    "address",
    [
        *[
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "192.168.0.1",
            "100.64.0.1",
            "0.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ],
        *["::1", "::", "fd00::1", "fe80::1%eth0", "fec0::1", "ff0e::1"],
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",  # NAT64 of a network
        "2002:7f00:1::",  # 6to4
        "2002:808:808::1",
        "2001:0:7f00:1::",  # Teredo
        "::127.0.0.1",  # IPv4-compatible
        "::ffff:127.0.0.1",  # IPv4-mapped
    ],
)
def test_it_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "52.218.0.1", "2606:4700::1111", "2a05:d018::1"])
def test_it_is_public(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the name server says, one answer for each question; the last one stays."""
    answers: list[list[str]] = []

    def resolve(host: str, port: Any, *_: Any, **__: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


class Dialled(httpcore.NetworkBackend):
    """Notes where it is connected to; nothing answers at ``silent`` addresses."""

    def __init__(self, *silent: str) -> None:
        self.hosts: list[str] = []
        self.silent = silent

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.hosts.append(host)
        if host in self.silent:
            raise httpcore.ConnectTimeout
        return httpcore.NetworkStream()


def test_what_is_connected_to_is_the_address_that_was_judged(answers: list[list[str]]) -> None:
    answers += [["8.8.8.8", "9.9.9.9"]]
    dialled = Dialled("8.8.8.8")
    PublicOnly(dialled, ()).connect_tcp(STORE, 443)
    assert dialled.hosts == ["8.8.8.8", "9.9.9.9"]
    with pytest.raises(httpcore.ConnectTimeout):
        PublicOnly(Dialled("8.8.8.8", "9.9.9.9"), ()).connect_tcp(STORE, 443)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "64:ff9b::7f00:1"]])
def test_nothing_is_connected_to_when_one_address_is_private(answers: list[list[str]], found: list[str]) -> None:
    answers += [found]
    dialled = Dialled()
    with pytest.raises(UntrustedHostError, match=f"{STORE}, which has a private address.*'allowed_download_hosts'"):
        PublicOnly(dialled, ("*.amazonaws.com",)).connect_tcp(STORE, 443)
    assert dialled.hosts == []
    PublicOnly(dialled, ("*.amazonaws.com", STORE)).connect_tcp(STORE.upper() + ".", 443)
    assert len(dialled.hosts) == 1


def test_a_name_that_does_not_resolve_is_a_connection_that_fails(answers: list[list[str]]) -> None:
    answers += [[]]
    with pytest.raises(httpcore.ConnectError, match="Name or service not known"):
        PublicOnly(Dialled(), ()).connect_tcp(STORE, 443)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.outcome("download", "the URL leads to another host, to http or to a private address", "UntrustedHostError")
def test_a_name_that_leads_elsewhere_after_it_was_judged(
    make_config: Callable[..., CloudConfig], answers: list[list[str]], listener: socket.socket
) -> None:
    config = make_config(allow_insecure=True, allowed_download_hosts=("*.amazonaws.com",))
    answers += [["8.8.8.8"], ["127.0.0.1"]]
    url = f"http://{STORE}:{listener.getsockname()[1]}/archive?sig=abcdef"
    check_host(url, config)
    with open_client(DownloadSettings.of(config), keep=0) as client, pytest.raises(UntrustedHostError) as caught:
        client.get(url)
    assert "abcdef" not in str(caught.value)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_every_download_of_the_product_is_held_to_the_connection() -> None:
    package = Path(airflow_provider_genesys.__file__).parent
    made = {str(path.relative_to(package)) for path in package.rglob("*.py") if "DownloadSettings(" in path.read_text()}
    assert made == set(), "DownloadSettings.of(config) knows which hosts may be private"
    assert re.search(r"listed_hosts=config\.", (package / "source" / "download_client.py").read_text())
