"""Which addresses are on the public internet, and connections that lead nowhere else.

A name may have one address when it is looked at and another when it is connected to. So the address that was judged is
the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import Any

import httpcore
import httpx

from airflow_provider_genesys.exceptions import UntrustedHostError

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All public IPv6 addresses. Outside of it are NAT64, and other forms that hold an IPv4 address."""
_TUNNELS = [ipaddress.IPv6Network(one) for one in ("2002::/16", "2001::/32")]  # 6to4 and Teredo hold an IPv4 address


def is_public(address: str) -> bool:
    """Whether ``address`` is of one host on the public internet, and does not embed an IPv4 address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and (
        found not in _UNICAST or any(found in tunnel for tunnel in _TUNNELS)
    ):
        return False
    return found.is_global and not found.is_multicast


def addresses_of(host: str, port: int | None = None) -> list[str]:
    """Return the addresses of ``host``, in the order in which they should be tried.

    :raises OSError: it has none that is known here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{host!r} is no host name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PublicOnly(httpcore.NetworkBackend):
    """Connects to public addresses, and, for hosts that are listed by name, to any.

    :param listed: names of hosts that may have a private address.
    """

    def __init__(self, backend: httpcore.NetworkBackend, listed: Collection[str]) -> None:
        self._backend = backend
        self._listed = listed

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Connect to the first address of ``host`` that answers, when all of them are public.

        :raises UntrustedHostError: one of them is not, and the host is not listed.
        """
        if host.rstrip(".").lower() in self._listed:
            return self._backend.connect_tcp(host, port, *args, **kwargs)
        try:
            addresses = addresses_of(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not all(map(is_public, addresses)):
            raise UntrustedHostError(not_allowed(host, PRIVATE))
        return self._first(addresses, port, *args, **kwargs)

    def _first(self, addresses: list[str], *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses:
            try:
                return self._backend.connect_tcp(address, *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def only_public(client: httpx.Client, listed: Collection[str]) -> None:
    """Let ``client`` connect to public addresses only, and to ``listed`` hosts. A proxy is reached at any address."""
    pool = client._transport._pool  # type: ignore[attr-defined] # noqa: SLF001 - a test tells when it is gone
    pool._network_backend = PublicOnly(pool._network_backend, listed)  # noqa: SLF001 - as above


PRIVATE = "has a private address and is not listed by its name"


def not_allowed(host: str, why: str) -> str:
    """Return the message for a host that may not be downloaded from."""
    return (
        f"The archive's URL leads to {host}, which {why}. If it is the object store of your organisation, add "
        f"{host} to the connection's extra 'allowed_download_hosts'."
    )
