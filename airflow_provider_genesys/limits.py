"""Limits for input from outside. The table in ``docs/bad-input.md`` has them all, and those of single rooms."""

from __future__ import annotations

LONGEST_ANSWER = 16 * 1024 * 1024
"""Unpacked bytes of a response that is read as a whole, such as the state of an export."""
LONGEST_PAGE = 128 * 1024 * 1024
"""Unpacked bytes of a page of results."""
MOST_RECORDS = 100_000
"""Records of a page."""
MOST_VALUES = 1_000_000
"""Values, in all records together, of a page of aggregates, and of a page with broken records."""
LONGEST_HEAD = 1024 * 1024
"""Bytes of what comes before a response's body: its headers, and interim responses (1xx)."""
LONGEST_ERROR = 1024 * 1024
"""Unpacked bytes of an error response, and of a response with a token. Only this much of a longer error is read."""
LONGEST_TOKEN = 16 * 1024
"""Characters of a token. It is sent in a header, whose length servers limit."""
LONGEST_CURSOR = 16 * 1024
"""Characters of the cursor of a page. It is sent in a URL and kept in the checkpoint."""
LONGEST_ETAG = 1024
"""Characters of an ETag that are kept and compared. It is in the checkpoint, and is sent in a header if it is whole."""
LONGEST_URL = 64 * 1024
"""Characters of a URL to a file. The HTTP client takes no longer one."""
MOST_PAGES = 1_000_000
"""Pages of one export or listing that are followed. With 500 records in each, that is 500 million records."""
MOST_EMPTY = 100
"""Pages without a record that are followed in a row."""
MOST_STORE_PAGES = 10_000
"""Pages of a list of objects in a store that are read: ten million objects."""
MOST_HELD = 1_000_000
"""Ids of a listing that are in memory at once: of its parents, or of a listing that changes while it is read."""
MOST_LISTED_PAGES = 1000
"""Most pages of a list of jobs that are read."""
LONGEST_KEY = 500
"""Characters of the last record's id that a checkpoint keeps, for people to see."""
LONGEST_LETTER = 128 * 1024 * 1024
"""Bytes of a stored dead letter that is read back. A record of 16 MiB is shorter in every encoding."""
MOST_NEW_NAMES = 1000
"""Unknown fields of the records of one slice that are counted one by one; further ones are counted together."""
