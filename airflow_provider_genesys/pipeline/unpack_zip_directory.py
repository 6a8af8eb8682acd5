"""The directory at the end of a zip file, read only to see that the archive is whole."""

from __future__ import annotations

import struct

from airflow_provider_genesys.pipeline.unpack_member import Unreadable

_LISTED, _END64, _LOCATOR64, _END = b"PK\x01\x02", b"PK\x06\x06", b"PK\x06\x07", b"PK\x05\x06"
DIRECTORY = (_LISTED, _END64, _END)
"""What it can begin with."""
_RECORDS = {
    _LISTED: (struct.Struct("<28x HHH"), 46),
    _END64: (struct.Struct("<4x Q"), 12),
    _LOCATOR64: (struct.Struct("<4x"), 20),
    _END: (struct.Struct("<20x H"), 22),
}
"""By signature: the fields that hold lengths, and how many bytes there are beside what they count."""


class Directory:
    """Implements :class:`.unpack_member.Member`; gives no bytes.

    :param entries: how many came before it; None where that is not known.
    """

    def __init__(self, entries: int | None) -> None:
        self._entries = entries
        self._listed = 0
        self.ended = self.more = False

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Take whole records of the directory."""
        while not self.ended and (length := _length(packed)) is not None and len(packed) >= length:
            self._listed += packed.startswith(_LISTED)
            self.ended = packed.startswith(_END)
            packed = packed[length:]
        if self.ended and self._entries not in (None, self._listed):
            raise Unreadable(f"its directory lists {self._listed} entries, and {self._entries} came before it")
        return b"", packed


def _length(packed: bytes) -> int | None:
    """Return the length of the record that ``packed`` starts with; None where its head is cut off."""
    signature = packed[:4]
    if len(signature) < 4:  # noqa: PLR2004 - bytes of a signature
        return None
    if signature not in _RECORDS:
        raise Unreadable("its directory is damaged")
    lengths, beside = _RECORDS[signature]
    return beside + sum(lengths.unpack_from(packed)) if len(packed) >= lengths.size else None
