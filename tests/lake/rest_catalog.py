"""A small REST catalog, on PyIceberg's catalog in an SQLite file.

No server of that protocol is in the registries that we use. This one speaks what loads need of it: what is tested is
the way of a commit over HTTP, and answers that are lost there. Requirements are judged by PyIceberg's own catalog.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import CommitTableRequest, Table

Answer = tuple[int, Any]
_ERRORS: dict[type[Exception], int] = {CommitFailedException: 409, NoSuchNamespaceError: 404, NoSuchTableError: 404}


class RestCatalog:
    """The server's state.

    :param secret: the client secret that is asked for; the token is made of it.
    """

    def __init__(self, catalog: Catalog, secret: str) -> None:
        self.url = ""
        self.lost: list[Callable[[Answer], Answer | None]] = []
        """What becomes of the next answers to commits: another one, or with None the connection is closed."""
        self._catalog = catalog
        self._secret = secret
        self._lock = threading.Lock()  # one commit at a time, as SQLite has it

    def answer(self, method: str, path: str, body: bytes, authorization: str | None) -> Answer | None:
        """Return status and body; None to close the connection without one."""
        if path == "oauth/tokens":
            asked = parse_qs(body.decode())
            known = asked.get("client_secret") == [self._secret]
            return (200, {"access_token": f"token-{self._secret}", "token_type": "bearer"}) if known else (401, {})
        if path == "config":
            return 200, {"defaults": {}, "overrides": {}}
        if authorization != f"Bearer token-{self._secret}":
            return 401, {"error": {"message": "no token", "type": "NotAuthorizedException", "code": 401}}
        try:
            return self._answer(method, path.split("/")[1:], body)
        except tuple(_ERRORS) as error:
            code = _ERRORS[type(error)]
            refused = code, {"error": {"message": str(error), "type": type(error).__name__, "code": code}}
            return self._sent(refused) if code == 409 else refused

    def _answer(self, method: str, steps: list[str], body: bytes) -> Answer | None:
        names = [unquote(step) for step in steps]
        if not names:
            made = json.loads(body)
            self._catalog.create_namespace_if_not_exists(tuple(made["namespace"]))
            return 200, made
        if len(names) == 1:
            return 200, {"namespace": names, "properties": self._catalog.load_namespace_properties(names[0])}
        if len(names) == 2:
            asked = CreateTableRequest.model_validate({"location": None, **json.loads(body)})
            given = asked.table_schema, asked.location, asked.partition_spec
            return 200, _described(
                self._catalog.create_table((names[0], asked.name), *given, properties=asked.properties)
            )
        table = self._catalog.load_table((names[0], names[2]))
        if method == "GET":
            return 200, _described(table)
        change = CommitTableRequest.model_validate_json(body)
        with self._lock:
            done = self._catalog.commit_table(table, change.requirements, change.updates)
        return self._sent((200, json.loads(done.model_dump_json(by_alias=True))))

    def _sent(self, answer: Answer) -> Answer | None:
        return self.lost.pop(0)(answer) if self.lost else answer


def _described(table: Table) -> dict[str, Any]:
    metadata = json.loads(table.metadata.model_dump_json(by_alias=True))
    return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}


@contextmanager
def serving(state: RestCatalog) -> Iterator[RestCatalog]:
    """Serve on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = state.answer(
                self.command, self.path.removeprefix("/v1/").partition("?")[0], body, self.headers.get("Authorization")
            )
            if answer is None:
                self.close_connection = True
                return
            text = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
