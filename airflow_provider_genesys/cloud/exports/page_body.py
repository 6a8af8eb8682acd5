"""Reads the body of a page: first its limits, then its records. What is broken is left to who can repair it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page, Repair, UnreadablePageError
from airflow_provider_genesys.cloud.exports.elements import check_records
from airflow_provider_genesys.cloud.http.no_answer import Doubt, check_answer
from airflow_provider_genesys.outside import shown


def read_body(
    body: bytes,
    what: str,
    *,
    member: str,
    read: Callable[[bytes], Page],
    id_of: Callable[[bytes], str],
    repair: Repair,
    doubt: Doubt | None = None,
) -> Page:
    """Return the page that ``body`` holds.

    :param what: names the page, for errors.
    :param member: name of the member with the records.
    :param read: decodes a page that is not broken.
    :param id_of: returns the id of a broken record, as far as it can be found.
    :param repair: is given a page that cannot be decoded.
    :param doubt: asks once more for a page without ``member``; None where such a page is usual.
    :raises AnswerTooLargeError: it has too many records.
    :raises ForeignAnswerError: it is an error, or nothing that can be repaired.
    """
    if doubt:
        doubt.check(body, member, what)
    check_records(body, member)
    try:
        page = read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        page = repair(
            UnreadablePageError(
                f"{what} cannot be read ({len(body)} bytes: {shown(error)}). The next try asks again. If the error "
                "repeats, check whether a proxy answers in place of Genesys.",
                body=body,
                member=member,
                read=read,
                id_of=id_of,
            )
        )
    if not page.ids:
        check_answer(body, member, what)
    return page
