"""Reads finished loads of an object store back and compares them with their certificates.

A load is what its manifest lists (:mod:`.manifest`). Each listed object is read whole: its size, its SHA-256 and its
number of rows have to be those of the manifest, and all of them together have to make the counts of the certificate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.sinks.objects.layout import MANIFEST
from airflow_provider_genesys.sinks.objects.manifest import Manifest, certificate_in, check_keys, read_manifest
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.read_back import OnRead, problems_of
from airflow_provider_genesys.stores.base import ObjectStore, below


@dataclass(frozen=True)
class Verified:
    """The result for one load. ``problems`` is empty if the load matches its certificate.

    ``objects`` and ``bytes`` were compared; ``rows`` are those of the load itself, without children. ``letters_gone``
    objects with dead letters are no longer there: that is no problem, since they are meant to expire earlier.
    """

    location: str
    certificate: Certificate
    objects: int
    bytes: int
    rows: int
    letters_gone: int
    problems: tuple[str, ...]

    @property
    def measured(self) -> str:
        """What was compared, for people."""
        return f"{self.rows:,} rows, {self.objects:,} objects, {self.bytes:,} bytes"


def manifests_below(store: ObjectStore, folder: str) -> list[str]:
    """Return the keys of the manifests of all finished loads below ``folder``, which ends with a slash."""
    return [stored.key for stored in store.list_objects(folder) if stored.key.endswith(f"/{MANIFEST}")]


def verify(store: ObjectStore, manifest_key: str, progress: OnRead = lambda _: None) -> Verified:
    """Read everything that a manifest lists and compare.

    A load that is replaced meanwhile is read again, as the new manifest lists it.

    :param progress: is called as bytes are read.
    :raises AccountError: there is no manifest, or this package did not write it.
    """
    manifest = _manifest(store, manifest_key)
    found = _compared(store, manifest_key, manifest, progress)
    if found.problems and (newer := _manifest(store, manifest_key)) != manifest:
        return _compared(store, manifest_key, newer, progress)
    return found


def size_of(store: ObjectStore, manifest_key: str) -> int:
    """Return the number of bytes of all objects that a manifest lists."""
    return sum(part.bytes for part in _listed(_manifest(store, manifest_key)))


def _manifest(store: ObjectStore, key: str) -> Manifest:
    manifest = read_manifest(store, key)
    if manifest is None:
        raise AccountError(f"{store.url}/{key} is not there: the load is not finished, or somebody removed it.")
    try:
        certificate_in(manifest)
        listed = _listed(manifest)
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
        raise AccountError(f"{store.url}/{key} is no manifest of this package ({shown(error)}).") from error
    check_keys(store, key.removesuffix(MANIFEST), (part.key for part in listed))
    return manifest


def _listed(manifest: Manifest) -> list[Part]:
    children = [part for parts in (manifest.get("children") or {}).values() for part in parts]
    return _parts([*manifest["parts"], *children, *_letters(manifest)])


def _letters(manifest: Manifest) -> list[dict[str, object]]:
    return list(manifest.get("dead_letters") or [])


def _parts(listed: object) -> list[Part]:
    return msgspec.convert(listed, list[Part])


def _compared(store: ObjectStore, key: str, manifest: Manifest, progress: OnRead) -> Verified:
    listed = _listed(manifest)
    gone = _letters_gone(store, manifest)
    parts = [part for part in listed if part.key not in gone]
    problems = [
        f"{store.url}/{part.key}: {problem}" for part in parts for problem in problems_of(store, part, progress)
    ]
    return Verified(
        location=f"{store.url}/{key.removesuffix(MANIFEST)}",
        certificate=certificate_in(manifest),
        objects=len(parts),
        bytes=sum(part.bytes for part in parts),
        rows=sum(part.rows for part in _parts(manifest["parts"])),
        letters_gone=len(gone),
        problems=(*_account(manifest), *problems),
    )


def _letters_gone(store: ObjectStore, manifest: Manifest) -> set[str]:
    keys = {part.key for part in _parts(_letters(manifest))}
    return keys - below(store, {f"{key.rpartition('/')[0]}/" for key in keys}).keys()


def _account(manifest: Manifest) -> Iterator[str]:
    counts = certificate_in(manifest).counts
    if counts.read != counts.written + counts.dead_letters + counts.duplicates:
        yield f"the account does not close: {counts}"
    listed = sum(part.rows for part in _parts(manifest["parts"]))
    # Rows of a replay were dead letters when the load ended, so the certificate counts them there.
    written = counts.written + int(manifest.get("replayed") or 0)
    if listed != written:
        yield f"the manifest lists {listed:,} rows and the certificate counts {written:,}"
    letters = sum(part.rows for part in _parts(_letters(manifest)))
    if letters != counts.dead_letters:
        yield f"the manifest lists {letters:,} dead letters and the certificate counts {counts.dead_letters:,}"
