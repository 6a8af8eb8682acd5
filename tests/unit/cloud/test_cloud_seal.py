"""URLs in XCom, and dead letters: encrypted for whom, bound to what, and what opens them."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_genesys.cloud.seal import cipher, seal, unseal

HOST = "https://store.s3.amazonaws.com"
URL = f"{HOST}/exports/archive.ndjson?X-Amz-Signature=0123456789abcdef&X-Amz-Expires=3600"
OWNER = ["export-1", "recordings", "https://api.mypurecloud.de", "client"]


def test_a_sealed_url_shows_where_it_leads_and_hides_the_rest() -> None:
    sealed = seal(URL, "secret", OWNER)
    assert sealed.startswith(f"{HOST}/exports/archive.ndjson?sealed=")
    assert "Signature" not in sealed
    assert "0123456789abcdef" not in sealed
    assert unseal(sealed, ["secret"], OWNER) == URL
    assert seal(URL, "secret", OWNER) != sealed, "two of them may not tell that they are equal"


_text = st.text(st.characters(codec="utf-8"))
_urls = st.builds(
    "https://{}/{}?{}#{}".format, st.from_regex(r"[a-z]{1,9}\.example", fullmatch=True), _text, _text, _text
)


@settings(deadline=None)
@given(st.one_of(_urls, _text), _text, st.lists(_text))
def test_whatever_is_sealed_can_be_unsealed(url: str, secret: str, owner: list[str]) -> None:
    assert unseal(seal(url, secret, owner), [secret], owner) == url


@settings(deadline=None)
@given(_text, _text)
def test_another_secret_does_not_open_it(one: str, other: str) -> None:
    assert (unseal(seal(URL, one, OWNER), [other], OWNER) == URL) == (one == other)


@settings(deadline=None)
@given(st.lists(_text), st.lists(_text))
def test_it_opens_for_what_it_was_sealed_for_alone(one: list[str], other: list[str]) -> None:
    assert (unseal(seal(URL, "secret", one), ["secret"], other) == URL) == (one == other)


def test_after_a_rotation_the_former_secret_opens_it() -> None:
    sealed = seal(URL, "former", OWNER)
    assert unseal(sealed, ["new", "former"], OWNER) == URL
    assert unseal(sealed, ["new"], OWNER) is None


@pytest.mark.parametrize("changed", ["store.s3", "/exports/archive", "https:"])
def test_a_sealed_url_whose_legible_part_was_changed_does_not_open(changed: str) -> None:
    assert unseal(seal(URL, "secret", OWNER).replace(changed, "evil"), ["secret"], OWNER) is None


def test_no_byte_can_be_changed() -> None:
    shown, _, token = seal(URL, "secret", OWNER).rpartition("?sealed=")
    packed = base64.urlsafe_b64decode(token)
    for at in range(len(packed)):
        forged = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
        assert unseal(f"{shown}?sealed={base64.urlsafe_b64encode(forged).decode()}", ["secret"], OWNER) is None
        cut = base64.urlsafe_b64encode(packed[:at]).decode()
        assert unseal(f"{shown}?sealed={cut}", ["secret"], OWNER) is None


@pytest.mark.parametrize(
    "text",
    ["", "x", URL, f"{HOST}/a?sealed=", f"{HOST}/a?sealed=gAAAA", "?sealed=ü", "?sealed=\ud800", "?sealed=Ag=="],
)
def test_what_is_not_sealed_does_not_open(text: str) -> None:
    assert unseal(text, ["secret"], OWNER) is None


def test_what_an_earlier_form_has_sealed_does_not_open() -> None:
    token = cipher(["secret"], "file_uri").encrypt(URL.encode()).decode()
    assert unseal(f"{HOST}/exports/archive.ndjson?sealed={token}", ["secret"], OWNER) is None


def test_each_purpose_has_its_own_key() -> None:
    token = cipher(["secret"], "dead letters").encrypt(b"raw")
    assert cipher(["new", "secret"], "dead letters").decrypt(token) == b"raw"
    for secret, purpose in (("secret", "file_uri"), ("other", "dead letters")):
        with pytest.raises(InvalidToken):
            cipher([secret], purpose).decrypt(token)


def _derived(purpose: bytes) -> bytes:
    """HKDF-SHA256 without salt (RFC 5869), in plain Python."""
    return hmac.digest(hmac.digest(b"\0" * 32, b"secret", "sha256"), purpose + b"\x01", "sha256")


def test_keys_and_form_are_as_documented() -> None:
    # What is encrypted today must open after every release.
    letter = Fernet(base64.urlsafe_b64encode(_derived(b"airflow-provider-genesys dead letters")))
    assert letter.decrypt(cipher(["secret"], "dead letters").encrypt(b"raw")) == b"raw"
    shown, _, token = seal(URL, "secret", OWNER).rpartition("?sealed=")
    packed = base64.urlsafe_b64decode(token)
    bound = b"\x02" + json.dumps([shown, *OWNER]).encode()
    opened = AESGCM(_derived(b"airflow-provider-genesys file_uri")).decrypt(packed[1:13], packed[13:], bound)
    assert (packed[:1], opened.decode()) == (b"\x02", URL)
