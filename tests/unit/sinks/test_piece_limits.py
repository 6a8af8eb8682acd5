"""S3 takes 10,000 pieces to an object, each of 5 MiB at least but the last: what is cut keeps to that."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError
from airflow_provider_genesys.sinks.objects.settings import LARGEST_PART_SIZE, ObjectSettings
from airflow_provider_genesys.stores.base import MOST_PIECES, SentPieces
from airflow_provider_genesys.stores.piece_writer import PIECE, piece_size
from airflow_provider_genesys.stores.s3 import S3Store, S3Upload

SMALLEST_PIECE = 5 * 1024**2
LARGEST_PIECE = 5 * 1024**3
LARGEST_OBJECT = 5 * 1024**4


@pytest.mark.parametrize("length", [None, 1, 80 * 10**9, MOST_PIECES * PIECE, MOST_PIECES * PIECE + 1, LARGEST_OBJECT])
def test_an_archive_of_any_length_is_landed_in_pieces_that_s3_takes(length: int | None) -> None:
    size = piece_size(length)
    assert SMALLEST_PIECE <= size <= LARGEST_PIECE
    assert -(-(length or 0) // size) <= MOST_PIECES


def test_the_largest_part_keeps_to_the_limit_with_rows_of_five_times_their_records() -> None:
    assert PIECE >= SMALLEST_PIECE
    assert 5 * LARGEST_PART_SIZE // PIECE < MOST_PIECES
    with pytest.raises(ConfigurationError, match="part_size"):
        ObjectSettings("p", part_size=LARGEST_PART_SIZE + 1, dead_letter_raw="keep")


@pytest.mark.outcome("object stores", "more pieces than the 10,000 that S3 takes", "SinkRefusedError")
def test_a_piece_too_many_is_refused_before_it_is_sent() -> None:
    class NoClient:
        meta = Mock()

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    upload = S3Upload(S3Store(NoClient(), "bucket"), SentPieces("a/part.ndjson", "upload-1"), [{}] * MOST_PIECES)
    with pytest.raises(SinkRefusedError, match="smaller part_size"):
        upload.send(b"more")
