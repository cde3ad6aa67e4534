"""`code`: the answer is a Python program, and passes where the tests run after it hold."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from residency.core.errors import ResidencyError
from residency.core.text_file import read_text
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, quote

_FENCE = re.compile(r"(?ms)^```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)^[ \t]*```")
_LINE = re.compile(r'File "<stdin>", line (\d+)')
_LARGEST_FILE = 16 * 2**20
_UNSHARE = ("unshare", "--user", "--map-current-user", "--net", "--pid", "--fork", "--kill-child")
_NO_LIMITS = "The scorer 'code' needs limits on processes, which this platform does not have."

# Limits first, then Python anew: the program can lower them and never raise them. The limit of time comes
# as SIGXCPU, by which it is known, and a second later as SIGKILL.
_LAUNCH = """
import os, resource, sys
seconds, memory, file = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
for limit, value in (("AS", memory), ("FSIZE", file), ("CORE", 0)):
    resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (value, value))
os.execv(sys.executable, [sys.executable, "-I", "-"])
"""


@scorer("code", costly=True)
def code(expected: str, got: str, *, tests: Path | None, seconds: float, memory_mib: int) -> Score:
    """Passes when the answer and then the tests run to their end.

    The tests are `scoring.tests`, or else the expected answer. The answer may stand in one ``` fence.
    It runs in an empty folder with no variables of the environment, under limits of CPU time, memory,
    size of files and time by the clock, after which its whole process group is killed; without network
    where the system lets a user make a namespace (`unshare`). This keeps accidents in, not attackers.

    Raises:
        ResidencyError: the tests are not valid Python, or the platform has no limits.
    """
    checks = _read_tests(tests) if tests else expected
    try:
        compile(checks, "tests", "exec")
    except (SyntaxError, ValueError) as error:
        where = str(tests) if tests else EXPECTED
        raise ResidencyError(f"The tests are not valid Python: {error}.", where, "Mend them.") from None
    blocks = _FENCE.findall(got)
    end = secrets.token_hex(16)
    program = f"{blocks[0] if len(blocks) == 1 else got}\n{checks}\nimport sys\nsys.stdout.write({end!r})\n"
    ended = _run(program, seconds, memory_mib)
    if ended.returned == 0 and ended.out.endswith(end):
        return Score(1.0, True, "")
    return Score(0.0, False, _reason(ended, program, seconds))


@cache
def _read_tests(file: Path) -> str:
    """The tests of all rows; read once, so that an edit during a run splits no comparison."""
    return read_text(file)


class _Ended(NamedTuple):
    returned: int | None
    """None where it was killed by the clock."""
    out: str
    errors: str


def _run(program: str, seconds: float, memory_mib: int) -> _Ended:
    limits = (str(max(1, round(seconds))), str(memory_mib * 2**20), str(_LARGEST_FILE))
    command = [*_isolation(), sys.executable, "-I", "-c", _LAUNCH, *limits]
    with (
        tempfile.TemporaryDirectory() as empty,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=empty,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            process.communicate(program.encode("utf-8", "replace"), timeout=2 * seconds)
            returned: int | None = process.returncode
        except subprocess.TimeoutExpired:
            returned = None
        finally:
            _kill_group(process)
        texts = []
        for file in (out, err):
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            texts.append(file.read().decode("utf-8", "replace"))
    return _Ended(returned, *texts)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the program and all it has started and left running."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says so by the second
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(ended: _Ended, program: str, seconds: float) -> str:
    if ended.returned is None or -ended.returned == signal.SIGXCPU or ended.returned == 128 + signal.SIGXCPU:
        return f"stopped after {seconds:g} s"
    lines = ended.errors.strip().splitlines()
    if not lines:
        return "ended before the tests did" if ended.returned == 0 else f"ended with code {ended.returned}"
    places = _LINE.findall(ended.errors)
    line = program.splitlines()[int(places[-1]) - 1].strip() if places else ""
    return f"{lines[-1]}{f' in {quote(line)}' if line else ''}"


@cache
def _isolation() -> tuple[str, ...]:
    """What a command is begun with to be without network; nothing where the system does not let us."""
    if os.name != "posix":
        raise ResidencyError(_NO_LIMITS, "task.scorer", "Use Linux or macOS, or another scorer.")
    try:
        tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ()
    return _UNSHARE if tried.returncode == 0 else ()
