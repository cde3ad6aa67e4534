"""The page of the data: whole, escaped, and without anything loaded from elsewhere."""

from html.parser import HTMLParser

from residency.verdict.data_page import render_data_page

FLAG = {"file": "f.jsonl", "row": 7, "suspicion": 0.9, "excerpt": "<b>hi</b> → x", "detail": "d & e"}
DOCUMENT = {
    "rows": 12,
    "files": {"train": ["f.jsonl", 12]},
    "fates": {"train": 10, "test": 1, "duplicate": 0, "conflict": 1},
    "checks": [
        {
            "id": "conflict",
            "severity": "warning",
            "explanation": "1 row contradicts <another>.",
            "fix": "Decide.",
            "rows": [
                {**FLAG, "other": {"file": "f.jsonl", "row": 3}},
                {"file": "f.jsonl", "row": 9, "suspicion": 1},
            ],
        }
    ],
    "ceiling": {"value": 0.912, "interval": [0.9, 0.92]},
    "leaks": 0,
    "to_review": 1,
    "labels": {f"label {n}": 40 - n for n in range(40)},
    "lengths": [{"from": 1, "to": 8, "rows": 4}, {"from": 9, "to": 16, "rows": 6}],
}
REVIEW = [{**FLAG, "example_id": "x", "reasons": [{"check": "conflict", "detail": "", "other": None}]}]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_escaped():
    page = Page(render_data_page(DOCUMENT, REVIEW))
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    text = " ".join(" ".join(page.text).split())
    for said in ("<b>hi</b> → x", "d & e", "91.2 % (90.0 to 92.0 %)", "f.jsonl:3", "10 of them"):
        assert said in text, said
    assert "duplicate" not in text  # a fate that no row has


def test_a_page_of_clean_data():
    clean = {**DOCUMENT, "checks": [], "ceiling": None, "labels": {}, "lengths": [], "to_review": 0}
    text = " ".join(Page(render_data_page(clean, [])).text)
    assert "Nothing was found." in text
    assert "cannot tell" in text
    assert "Labels" not in text
