"""What a run asks its judge: each question once, under one cap, and noted stage by stage for the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from residency.core.errors import ResidencyError
from residency.core.recipe import Judge
from residency.core.records import fingerprint
from residency.core.text_file import read_text
from residency.evals.asked import Asked, read_asked, write_asked
from residency.models.endpoint import Body, Client, Reply, known
from residency.models.remote import Budget, ask_within, tokens_of


class Account:
    """What is asked of a judge in one run; may be shared by threads.

    A question counts once against `judge.max_cost`. Replies that were paid for before count too, so that
    the cap is the same however often a run is started again.
    """

    def __init__(self, judge: Judge) -> None:
        """Read the rubric, so that all is graded by one text; nothing is asked yet.

        Raises:
            ResidencyError: the rubric is empty, or no UTF-8.
        """
        self.judge, self.budget = judge, Budget(judge.max_cost)
        self.rubric = _read_rubric(judge.rubric) if judge.rubric else ""
        self._client: Client | None = None
        self._counted: dict[str, Asked] = {}
        self._noted: dict[str, Asked] = {}
        self._lock = Lock()

    def reply(self, body: Body) -> Reply:
        """The judge's reply, known or new.

        Raises:
            ResidencyError: it could cost more than is left of the cap, or no reply came.
        """
        reply, new = known(self.judge, body), False
        if reply is None:
            reply, new = ask_within(self.budget, self.judge, self._asking(), body), True
        if reply is None:
            spent, cap = f"{self.budget.spent:.4g}", f"{self.judge.max_cost:g}"
            what = f"The judge's replies cost {spent} so far, and the next could pass the cap of {cap}."
            fix = "Raise it and run the same command again; the replies that came are not paid for again."
            raise ResidencyError(what, "judge.max_cost", fix)
        asked = Asked(fingerprint(body), *tokens_of(self.judge, reply))
        with self._lock:
            self._noted[asked.question] = asked
            if new == self._is_new(asked):
                return reply
        # known from an earlier run, or asked by two threads at once and paid by one
        cost = self.judge.cost(*asked[1:])
        self.budget.count(-cost if new else cost)
        return reply

    @contextmanager
    def noting(self, folder: Path) -> Iterator[None]:
        """Write what is asked within to a stage's folder, with what a build that was cut short had asked."""
        self.count(folder)
        outside, self._noted = self._noted, {asked.question: asked for asked in read_asked(folder)}
        try:
            yield
        finally:
            write_asked(folder, self._noted.values())
            self._noted = outside

    def keep(self, folder: Path) -> None:
        """Write all that counts to the folder of a run that ends early: it counts first when that goes on."""
        write_asked(folder, self._counted.values())

    def count(self, folder: Path) -> None:
        """What was asked for a finished stage, or by a run that ended early, counts against the cap."""
        for asked in read_asked(folder):
            with self._lock:
                new = self._is_new(asked)
            if new:
                self.budget.count(self.judge.cost(*asked[1:]))

    def _asking(self) -> Client:
        """One client for all threads, so that all wait where the server wants to be left alone.

        It is made when the first question is put: replies that are known need no key.
        """
        with self._lock:
            if self._client is None:
                self._client = Client(self.judge)
            return self._client

    def _is_new(self, asked: Asked) -> bool:
        """Whether it is counted for the first time."""
        return self._counted.setdefault(asked.question, asked) is asked


_ACCOUNTS: dict[Judge, Account] = {}


def open_account(judge: Judge) -> None:
    """A run begins: nothing is asked of its judge yet; raises as `Account`."""
    _ACCOUNTS[judge] = Account(judge)


def account_of(judge: Judge) -> Account:
    """The account of the run under way; raises as `Account`."""
    return _ACCOUNTS.get(judge) or _ACCOUNTS.setdefault(judge, Account(judge))


def _read_rubric(file: Path) -> str:
    text = read_text(file).strip()
    if not text:
        fix = "Say in it what makes an answer good."
        raise ResidencyError("The judge's rubric is empty.", str(file), fix)
    return text
