"""Encrypts with keys that are derived from a connection's client secret: URLs for XCom, and dead letters.

A sealed URL opens for the export and the connection that it was sealed for, and only as it was written: scheme, host
and path, which can be read, are authenticated too. So who may write an XCom can give one export no URL of another. A
dead letter's bytes open for the letter that they were encrypted for, so who may write letters cannot exchange them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_genesys.cloud.presigned import redact

VERSION = b"\x02"
"""First byte of a sealed value. Values without it are of an earlier form, which no longer opens."""
_NONCE = 12  # bytes, as AES-GCM wants them
_MARK = "?sealed="
_PURPOSE = "file_uri"
_IS_BOUND = ", bound"  # a key is for one algorithm only


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
    shown = redact(url)
    return f"{shown}{_MARK}{_encrypted(url.encode(), _key(secret, _PURPOSE), _bound(shown, bound_to)).decode()}"


def unseal(sealed: str, secrets: Iterable[str], bound_to: Sequence[str]) -> str | None:
    """Return the URL that :func:`seal` encrypted with one of ``secrets``.

    None where it does not open: the secret was rotated, it belongs to something else, it was changed, or it is of an
    earlier form.
    """
    shown, _, token = sealed.rpartition(_MARK)
    try:
        keys = [_key(secret, _PURPOSE) for secret in secrets]
        return _decrypted(token.encode("ascii"), keys, _bound(shown, bound_to)).decode()
    except (InvalidTag, UnicodeError):
        return None


def encrypt(plain: bytes, secret: str, purpose: str, bound_to: bytes) -> bytes:
    """Return ``plain`` encrypted, in ASCII.

    :param secret: the connection's client secret.
    :param purpose: part of what the key is derived from.
    :param bound_to: what it belongs to; :func:`decrypt` needs the same.
    """
    return _encrypted(plain, _key(secret, purpose + _IS_BOUND), bound_to)


def decrypt(token: bytes, bound_to: bytes, *, secrets: Sequence[str], purpose: str) -> bytes:
    """Return what :func:`encrypt` encrypted with one of ``secrets``; also what :func:`cipher` did, bound to nothing.

    :raises cryptography.exceptions.InvalidTag: it is of another secret, belongs to something else, or was changed.
    """
    try:
        return cipher(secrets, purpose).decrypt(token)
    except InvalidToken:
        return _decrypted(token, [_key(secret, purpose + _IS_BOUND) for secret in secrets], bound_to)


def _encrypted(plain: bytes, key: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return base64.urlsafe_b64encode(VERSION + nonce + AESGCM(key).encrypt(nonce, plain, bound_to))


def _decrypted(token: bytes, keys: Iterable[bytes], bound_to: bytes) -> bytes:
    try:
        packed = base64.b64decode(token, altchars=b"-_", validate=True)
    except binascii.Error:
        raise InvalidTag from None
    start = len(VERSION) + _NONCE
    if not packed.startswith(VERSION) or len(packed) < start:
        raise InvalidTag
    for key in keys:
        with suppress(InvalidTag):
            return AESGCM(key).decrypt(packed[len(VERSION) : start], packed[start:], bound_to)
    raise InvalidTag


def _bound(shown: str, bound_to: Sequence[str]) -> bytes:
    """Return what is authenticated together with the encrypted URL."""
    return VERSION + json.dumps([shown, *bound_to]).encode()


def _key(secret: str, purpose: str) -> bytes:
    info = f"airflow-provider-genesys {purpose}".encode()
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(secret.encode())
