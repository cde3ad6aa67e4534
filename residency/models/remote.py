"""A model behind an OpenAI-compatible API."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from residency.core.errors import ResidencyError

_TRIES = 4
_BUSY = frozenset({408, 409, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Remote:
    """Where a model is found and how long a call may take."""

    url: str
    model: str
    key: str
    """The environment variable that holds the API key; empty where none is wanted."""
    timeout: float

    def reply(self, system: str, text: str) -> str:
        """The model's answer to `text` under the system prompt, as likely as it can (temperature 0).

        Busy and failing servers are asked again, after 1, 2 and 4 seconds.

        Raises:
            ResidencyError: the key is not set, or no answer came.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        headers = {"Content-Type": "application/json", **self._authorisation()}
        place = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(place, json.dumps(body).encode(), headers)
        for attempt in range(_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return _content(json.load(response))
            except urllib.error.HTTPError as error:
                problem = f"{error.code} {error.reason}"
                if error.code not in _BUSY:
                    break
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                problem = str(error) or type(error).__name__
            if attempt < _TRIES - 1:
                time.sleep(2**attempt)
        fix = "Correct the address, the model's name or the key, and run the same command again."
        raise ResidencyError(f"The model '{self.model}' gave no answer: {problem}.", place, fix)

    def _authorisation(self) -> dict[str, str]:
        if not self.key:
            return {}
        secret = os.environ.get(self.key)
        if not secret:
            what = f"The environment variable {self.key} is not set, and it should hold the API key."
            raise ResidencyError(what, self.url, f"export {self.key}=...")
        return {"Authorization": f"Bearer {secret}"}


def _content(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"] or "")
