"""`python -m tests.docs.check`: are the generated pages up to date, and does every link lead somewhere?

With `--write` the generated pages are written anew first.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import generated_pages

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def all_pages() -> list[Path]:
    """Every page a reader of the repository sees."""
    tops = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    return [*tops, *sorted((ROOT / "docs").glob("*.md"))]


def stale_pages() -> Iterator[str]:
    """A diff for each generated page that is not what the code says."""
    for name, text in generated_pages().items():
        file = ROOT / name
        there = file.read_text(encoding="utf-8") if file.is_file() else ""
        if there != text:
            lines = difflib.unified_diff(
                there.splitlines(), text.splitlines(), name, f"{name}, as the code says", lineterm=""
            )
            yield "\n".join(lines)


def dead_links(page: Path) -> Iterator[str]:
    """Each relative link of `page` that leads to no file, or to no heading."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: there is no {target}"
        elif anchor and anchor not in _anchors(file):
            yield f"{page.relative_to(ROOT)}: {path or page.name} has no heading for #{anchor}"


def _anchors(page: Path) -> set[str]:
    """The names under which GitHub lists a page's headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def write() -> None:
    """Write the generated pages."""
    for name, text in generated_pages().items():
        (ROOT / name).write_text(text, encoding="utf-8")


def main() -> int:
    """The exit code: 1 if anything is stale or dead."""
    if sys.argv[1:] == ["--write"]:
        write()
    elif sys.argv[1:]:
        print("Usage: python -m tests.docs.check [--write]", file=sys.stderr)
        return 1
    problems = list(stale_pages())
    if problems:
        problems.append("Write the generated pages anew: python -m tests.docs.check --write")
    problems += [problem for page in all_pages() for problem in dead_links(page)]
    print("\n".join(problems) if problems else "docs: up to date, every link leads somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
