"""A real HTTP server on this machine that plays an OpenAI-compatible API and misbehaves on script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Call(NamedTuple):
    """What was asked."""

    path: str
    authorisation: str | None
    body: dict[str, Any]


class Said(NamedTuple):
    """What is answered: a status, a body and headers."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


def completion(text: str | None, prompt: int = 10, answer: int = 5, **message: Any) -> Said:
    """A good answer that says it took so many tokens."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt, "completion_tokens": answer}
    return Said(200, json.dumps({"choices": [choice], "usage": usage}).encode())


def failure(status: int, message: str = "", headers: dict[str, str] | None = None, **more: Any) -> Said:
    """An error as the API tells it."""
    return Said(status, json.dumps({"error": {"message": message, **more}}).encode(), headers or {})


class Served:
    """The server's address, the calls it had, and how many it had at once."""

    def __init__(self, answer: Callable[[Call], Said]) -> None:
        self.answer, self.calls, self.at_once, self.most_at_once = answer, [], 0, 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                call = Call(self.path, self.headers.get("Authorization"), body)
                with outer.lock:
                    outer.calls.append(call)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                said = outer.answer(call)
                with outer.lock:
                    outer.at_once -= 1
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that waited long enough has gone
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def serve(answer: Callable[[Call], Said]) -> Iterator[Served]:
    """A server that answers by a function of the call, until the block ends."""
    served = Served(answer)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        thread.join()
        served.server.server_close()
