"""Encrypts with keys that are derived from a connection's client secret: URLs for XCom, and dead letters.

A sealed URL opens for the export and the connection that it was sealed for, and only as it was written: scheme, host
and path, which can be read, are authenticated too. So who may write an XCom can give one export no URL of another.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_genesys.cloud.presigned import redact

VERSION = b"\x02"
"""First byte of a sealed value. Values without it are of an earlier form, which no longer opens."""
_NONCE = 12  # bytes, as AES-GCM wants them
_MARK = "?sealed="
_PURPOSE = "file_uri"


def cipher(secrets: Sequence[str], purpose: str) -> MultiFernet:
    """Return a cipher that encrypts with the first of the client ``secrets``, and decrypts with each of them.

    :param purpose: part of what the keys are derived from; each purpose has its own.
    """
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_key(secret, purpose))) for secret in secrets])


def seal(url: str, secret: str, bound_to: Sequence[str]) -> str:
    """Return ``url`` for XCom: scheme, host and path are legible, the rest is encrypted.

    :param secret: the connection's client secret.
    :param bound_to: what the URL belongs to, e.g. the ids of export and connection. It opens together with the same.
    """
    shown, nonce = redact(url), os.urandom(_NONCE)
    encrypted = AESGCM(_key(secret, _PURPOSE)).encrypt(nonce, url.encode(), _bound(shown, bound_to))
    return f"{shown}{_MARK}{base64.urlsafe_b64encode(VERSION + nonce + encrypted).decode()}"


def unseal(sealed: str, secrets: Iterable[str], bound_to: Sequence[str]) -> str | None:
    """Return the URL that :func:`seal` encrypted with one of ``secrets``.

    None where it does not open: the secret was rotated, it belongs to something else, it was changed, or it is of an
    earlier form.
    """
    shown, _, token = sealed.rpartition(_MARK)
    try:
        packed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError):
        return None
    start = len(VERSION) + _NONCE
    if not packed.startswith(VERSION) or len(packed) < start:
        return None
    for secret in secrets:
        try:
            opened = AESGCM(_key(secret, _PURPOSE)).decrypt(
                packed[len(VERSION) : start], packed[start:], _bound(shown, bound_to)
            )
        except InvalidTag:
            continue
        return opened.decode()
    return None


def _bound(shown: str, bound_to: Sequence[str]) -> bytes:
    """Return what is authenticated together with the encrypted URL."""
    return VERSION + json.dumps([shown, *bound_to]).encode()


def _key(secret: str, purpose: str) -> bytes:
    info = f"airflow-provider-genesys {purpose}".encode()
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(secret.encode())
