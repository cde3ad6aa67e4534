import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from residency.models.scripted import write_tiny_base
from residency.models.tokenizer import load_tokenizer


@pytest.mark.parametrize("changed", [{}, {"tokenizer_class": "LlamaTokenizer"}])
def test_it_is_the_one_that_transformers_chooses(tmp_path: Path, changed: dict[str, str]) -> None:
    write_tiny_base(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    ours, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(ours) is type(theirs)
    assert ours.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.chat_template == theirs.chat_template


def test_a_plain_one_needs_no_torch(tmp_path: Path) -> None:
    write_tiny_base(tmp_path)
    code = (
        "import sys; from pathlib import Path; from residency.models.tokenizer import load_tokenizer; "
        "load_tokenizer(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
