"""Where the key is kept that personal data is hashed with."""

from __future__ import annotations

from airflow.sdk import BaseHook, Variable
from airflow.sdk.log import mask_secret

from airflow_provider_genesys.exceptions import ConfigurationError

SHORTEST = 16
"""Characters. Telephone numbers are few: through a key that can be guessed, each of them can be found again."""


def read_pii_key(named: str | None) -> bytes:
    """Return the key that ``named`` leads to: ``connection:<id>`` (its password) or ``variable:<key>``.

    :raises ConfigurationError: it leads to nothing, or to something too short.
    """
    place, _, name = (named or "").partition(":")
    if place == "connection" and name:
        secret = BaseHook.get_connection(name).password
    elif place == "variable" and name:
        secret = Variable.get(name, default=None)
    else:
        raise ConfigurationError(
            "The contract hashes personal data, which needs a key. Name where it is kept: "
            f"pii_key='connection:<id>' or 'variable:<key>', not {named!r}."
        )
    if not secret or len(secret) < SHORTEST:
        raise ConfigurationError(
            f"The key in {named!r} has fewer than {SHORTEST} characters. Put a random one there, for example of "
            "`openssl rand -hex 32`, and keep it: with another key the same value gets another hash."
        )
    mask_secret(secret)
    return secret.encode()
