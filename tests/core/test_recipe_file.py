import re
from pathlib import Path

import pytest

import residency
from residency.core.errors import SeveralErrors
from residency.core.recipe import Recipe, Section
from residency.core.recipe_file import load_recipe, path_keys
from tests.core.recipes import MINIMAL, mistakes

FIELDS = [
    (section, key)
    for section, field in Recipe.model_fields.items()
    for key in field.annotation.model_fields  # type: ignore[union-attr]
]


def test_all_mistakes_are_told_at_once(write):
    file = write(
        '[data]\ntrain = "rows.jsonl"\ntest = "gone.csv"\nmax_tokens = 3\n'
        '[train]\nrnk = 8\nepochs = "many"\n[task]\nname = "Tickets!"\nkind = "guess"\n[server]\nport = 1\n'
    )
    told = {where: (what, fix) for what, where, fix in mistakes(file)}
    assert set(told) == {
        *(f"FILE: {key}" for key in ("data.test", "data.max_tokens", "train.rnk", "train.epochs")),
        *(f"FILE: {key}" for key in ("task.name", "task.kind", "server")),
    }
    assert told["FILE: train.rnk"] == ("There is no key train.rnk.", "Did you mean rank?")
    assert (
        "base, data, split, task, scoring, judge, candidates, train, sweep, verdict"
        in told["FILE: server"][1]
    )
    assert told["FILE: data.max_tokens"][0].startswith("data.max_tokens = 3 is not allowed")
    assert told["FILE: data.max_tokens"][1].endswith("never cut. Default: 1024.")
    assert told["FILE: train.epochs"][0].startswith('train.epochs = "many" is not allowed')
    assert told["FILE: data.test"][0] == f"There is no file {file.parent / 'gone.csv'}."


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("-1", "-1 is not allowed: input should be greater than or equal to 0."),
        ("65", "65 is not allowed: input should be less than or equal to 64."),
        ("[4, -1]", "-1 is not allowed: input should be greater than or equal to 0."),
        ("[]", "[] is not allowed: tuple should have at least 1 item after validation, not 0."),
    ],
)
def test_a_number_that_is_refused_makes_its_list_no_shorter(write, given, what):
    ((told, where, _),) = mistakes(write(f"{MINIMAL}[candidates]\nfew_shot = {given}\n"))
    assert (told, where) == (f"candidates.few_shot = {what}", "FILE: candidates.few_shot")


@pytest.mark.parametrize(
    ("sweep", "key", "what"),
    [
        ("rank = [8, 0]", "sweep.rank", "sweep.rank = 0 is not allowed: input should be greater"),
        ("rank = 8", "sweep.rank", "sweep.rank = 8 is not allowed: input should be a valid list."),
        ("eta = 2", "sweep", 'sweep = {"eta": 2} is not allowed: it varies nothing; give a key values'),
        (
            'search = "optuna"\nlearning_rate = [0.01, 0.001]',
            "sweep",
            'sweep = {"search": "optuna", "learning_rate": [0.01, 0.001]} is not allowed: two values of '
            "learning_rate are a range, of which the low end must come first.",
        ),
    ],
)
def test_mistakes_in_a_sweep(write, sweep, key, what):
    ((told, where, _),) = mistakes(write(f"{MINIMAL}[sweep]\n{sweep}\n"))
    assert where == f"FILE: {key}"
    assert told.startswith(what)


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        ('"gpt" = [1, 2]', 'prices.tokens = "gpt" is not allowed: input should be'),
        ("tuned = [1]", "prices.tokens = [1] is not allowed: field required"),
        ("tuned = [1, -2]", "prices.tokens = -2 is not allowed: input should be greater"),
    ],
)
def test_mistakes_in_a_table_of_prices_name_its_key(write, tokens, what):
    ((told, where, fix),) = mistakes(write(f"{MINIMAL}[prices]\ntokens = {{ {tokens} }}\n"))
    assert where == "FILE: prices.tokens" and fix.startswith("For candidates that will run where tokens")
    assert told.startswith(what)


def test_an_empty_sweep_is_none(write):
    assert load_recipe(write(MINIMAL + "[sweep]\n")).sweep.varied == {}
    swept = load_recipe(write(MINIMAL + "[sweep]\nepochs = [1, 2]\n"), ["sweep.rank=[8]"])
    assert swept.sweep.varied == {"rank": [8], "epochs": [1.0, 2.0]}
    assert Recipe.model_validate(swept.to_json()) == swept


def test_each_mistake_takes_three_lines(write):
    with pytest.raises(SeveralErrors) as caught:
        load_recipe(write("[train]\nrank = 0\n"))
    first, second = str(caught.value).split("\n\n")
    for part in (first, second):
        assert [line.split(":")[0] for line in part.splitlines()] == ["what", "where", "fix"]


def test_a_missing_section_and_a_section_that_is_a_value(write):
    assert mistakes(write("train = 3\n"), "train.rank=8") == [
        ("[train] is not a section.", "--set train.rank=8", "E.g. --set train.rank=8"),
        (
            "The key data is missing.",
            "FILE: data",
            "Write a section [data]. The examples and how to read them.",
        ),
        ("train = 3 is not a section.", "FILE: train", "Write a section [train]. How the model is tuned."),
    ]


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.rank=8", "train", "rank", 8),
        ("train.learning_rate=2e-4", "train", "learning_rate", 2e-4),
        ('train.targets=["q_proj", "v_proj"]', "train", "targets", ("q_proj", "v_proj")),
        ("split.allow_overlap=true", "split", "allow_overlap", True),
        ("task.scorer=fields", "task", "scorer", "fields"),
        ('task.scorer="fields"', "task", "scorer", "fields"),
        ("task.system=Answer: a = b, # truly", "task", "system", "Answer: a = b, # truly"),
        ("task.system=42", "task", "system", "42"),
        ("task.system=true", "task", "system", "true"),
        ("task.system=", "task", "system", ""),
        ("data.input=2024-01-01", "data", "input", "2024-01-01"),
        ("task.system=1\ntrain.rank = 2", "task", "system", "1\ntrain.rank = 2"),
    ],
)
def test_an_override_has_the_type_of_its_key(write, override, section, key, value):
    recipe = load_recipe(write(MINIMAL), [override])
    got = getattr(getattr(recipe, section), key)
    assert got == value
    assert type(got) is type(value)


def test_the_last_override_wins(write):
    assert load_recipe(write(MINIMAL), ["train.rank=8", "train.rank=4"]).train.rank == 4


def test_paths_stand_from_the_recipe_and_those_of_overrides_from_here(write, tmp_path, monkeypatch):
    file = write('[data]\ntrain = "rows.jsonl"\n[base]\nmodel = "tiny"\n')
    (tmp_path / "tiny").mkdir()
    here = tmp_path / "else where"
    (here / "ünicode").mkdir(parents=True)
    (here / "own test.jsonl").write_text("{}\n")
    monkeypatch.chdir(here)
    recipe = load_recipe(file, ["data.test=own test.jsonl"])
    assert recipe.data.train == tmp_path / "rows.jsonl"
    assert recipe.data.test == here / "own test.jsonl"
    assert recipe.base.model == str(tmp_path / "tiny")
    quoted = load_recipe(file, ['data.test="own test.jsonl"', "base.model=ünicode"])
    assert quoted.data.test == here / "own test.jsonl"
    assert quoted.base.model == str(here / "ünicode")
    assert load_recipe(file, ["base.model=some/model"]).base.model == "some/model"


def test_mistaken_overrides_are_told_together_with_the_others(write):
    told = mistakes(
        write(MINIMAL + "[task]\nkind = 3\n"),
        "train.rank",
        "rank=8",
        "train.x.y=1",
        "train.rnk=8",
        "train.rank=0",
        "data.test=gone.csv",
    )
    assert [where for _, where, _ in told] == [
        "--set train.rank",
        "--set rank=8",
        "--set train.x.y=1",
        "FILE: task.kind",
        "--set train.rank=0",
        "--set train.rnk=8",
        "--set data.test=gone.csv",
    ]
    assert {fix for _, where, fix in told if "rank" in where and "=0" not in where} == {
        "E.g. --set train.rank=8"
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(write, encoding):
    text = MINIMAL + '[task]\nsystem = "Größe?"\n'
    assert load_recipe(write(text.replace("\n", "\r\n"), encoding)).task.system == "Größe?"


def test_files_that_are_no_recipe(write, tmp_path):
    assert mistakes(tmp_path / "gone.toml")[0][0] == "There is no such recipe."
    (folder_mistake,) = mistakes(tmp_path)
    assert folder_mistake[0] == "This is a folder, not a recipe."
    assert str(tmp_path / "residency.toml") in folder_mistake[2]
    assert mistakes(tmp_path / "rows.jsonl" / "x")[0][0].startswith("The recipe cannot be read: Not a dir")
    (bad,) = mistakes(write("[data\ntrain = 1"))
    assert bad[0].startswith("The recipe is not valid TOML: ")
    assert "line 1" in bad[0]
    assert mistakes(write("[data]\n# Größe", "latin-1"))[0][0].startswith("The recipe is not valid TOML: ")


def test_files_that_are_not_there(write, tmp_path):
    recipe = '[data]\ntrain = "a\\u0000b"\nvalidation = "gone.csv"\n[task]\ninstructions = "sub"\n'
    (tmp_path / "sub").mkdir()
    told = {where: what for what, where, _ in mistakes(write(recipe))}
    assert set(told) == {"FILE: data.train", "FILE: data.validation", "FILE: task.instructions"}
    assert told["FILE: task.instructions"] == f"{tmp_path / 'sub'} is a folder, not a file."


def test_rows_may_be_a_folder_or_a_dataset_on_the_hub(write, tmp_path):
    (tmp_path / "sub").mkdir()
    recipe = load_recipe(write('[data]\ntrain = "hf:me/my.data"\ntest = "sub"\n'))
    assert (str(recipe.data.train), recipe.data.test) == ("hf:me/my.data", tmp_path / "sub")
    recipe = load_recipe(write(MINIMAL), ["data.train=hf:me/mine:train"])
    assert str(recipe.data.train) == "hf:me/mine:train"
    assert Recipe.model_validate(recipe.to_json()) == recipe
    (malformed,) = mistakes(write(MINIMAL), "data.validation=hf:mine")
    assert malformed == (
        'data.validation = "hf:mine" is not allowed: this is no name of a dataset on the hub.',
        "--set data.validation=hf:mine",
        "Write hf:owner/name, or hf:owner/name:train for one split.",
    )


def test_the_keys_that_are_paths():
    assert set(path_keys()) == {
        ("data", "train"),
        ("data", "test"),
        ("data", "validation"),
        ("task", "instructions"),
        ("task", "schema_file"),
        ("scoring", "answer_schema"),
        ("scoring", "tests"),
        ("judge", "rubric"),
        ("judge", "golden"),
        ("candidates", "documents"),
        ("verdict", "paraphrases"),
        ("train", "replay_file"),
    }


@pytest.mark.parametrize(("section", "key"), FIELDS)
def test_every_field_is_described(section, key):
    annotation = Recipe.model_fields[section].annotation
    assert isinstance(annotation, type) and issubclass(annotation, Section)
    description = annotation.model_fields[key].description
    assert description and description.endswith("."), f"{section}.{key} needs a docstring"
    assert annotation.__doc__ and annotation.__doc__.endswith(".")


def test_every_field_is_read_somewhere():
    package = Path(residency.__file__).parent
    code = "\n".join(f.read_text() for f in package.rglob("*.py") if f.name != "recipe.py")
    # a scorer reads keys of [scoring] by the names of its parameters: see tests/evals/test_text_scorers.py
    fields = [(section, key) for section, key in FIELDS if section != "scoring"]
    unread = [f"{section}.{key}" for section, key in fields if not re.search(rf"\.{key}\b", code)]
    assert unread == []


def test_keys_of_adapters_are_refused_where_none_is_trained(write):
    file = write(MINIMAL + '[train]\nmethod = "full"\nrank = 16\n')
    told = mistakes(file, "train.dora=false")
    assert told == [
        (
            f"train.{key} = {value} is not allowed: the method 'full' trains all weights and no adapter.",
            where,
            f"Take {key} out, or set train.method to lora or qlora.",
        )
        for key, value, where in (
            ("rank", 16, "FILE: train.rank"),
            ("dora", "false", "--set train.dora=false"),
        )
    ]


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_what_a_recipe_writes_of_itself_reads_back_as_the_same(write, method):
    recipe = load_recipe(write(MINIMAL), [f"train.method={method}"])
    assert Recipe.model_validate(recipe.to_json()) == recipe
    assert ("rank" in recipe.to_json()["train"]) == (method != "full")
    assert recipe.train.learning_rate == (1e-4 if method == "full" else 1e-3)
    assert load_recipe(write(MINIMAL), ["train.learning_rate=0.02"]).train.learning_rate == 0.02


def test_values_for_an_adapter_are_refused_where_none_is_trained(write):
    full = MINIMAL + '[train]\nmethod = "full"\n'
    assert mistakes(write(full), "sweep.rank=[2, 3]", "sweep.alpha=[4]", "sweep.epochs=[1]") == [
        (
            'sweep = {"rank": [2, 3], "alpha": [4], "epochs": [1]} is not allowed: '
            "the method 'full' trains all weights and no adapter.",
            "FILE: sweep",
            "Take rank and alpha out of [sweep], or set train.method to lora or qlora.",
        )
    ]
    assert load_recipe(write(full), ["sweep.epochs=[1]"]).sweep.varied == {"epochs": [1.0]}


def test_gradients_of_an_adapter_are_refused_where_none_is_trained(write):
    ((what, where, fix),) = mistakes(
        write(MINIMAL), "train.method=full", "verdict.tracing=gradients", "verdict.margin=0.1"
    )
    assert what.endswith("is not allowed: the method 'full' trains all weights and no adapter.")
    assert (where, fix) == (
        "FILE: verdict",
        'Set verdict.tracing = "similarity", or train.method to lora or qlora.',
    )
    assert load_recipe(write(MINIMAL), ["verdict.tracing=gradients"]).verdict.tracing == "gradients"


def test_packed_weights_are_not_shared_out(write):
    qlora = MINIMAL + '[train]\nmethod = "qlora"\n'
    assert mistakes(write(qlora), "train.distribution=fsdp") == [
        (
            'train.distribution = "fsdp" is not allowed: '
            "the method 'qlora' packs weights in a way that cannot be shared out over processes.",
            "--set train.distribution=fsdp",
            "Set train.distribution to ddp, or train.method to lora.",
        )
    ]
    assert load_recipe(write(qlora), ["train.distribution=ddp"]).train.distribution == "ddp"


def test_a_scorer_of_the_users_own_is_found_from_the_recipes_folder(write, tmp_path, monkeypatch):
    file = write('[data]\ntrain = "rows.jsonl"\n[task]\nscorer = "mine.py:grade"\n')
    assert load_recipe(file).task.scorer == f"{file.resolve().parent}/mine.py:grade"
    monkeypatch.chdir(tmp_path)
    assert load_recipe(file, ["task.scorer=sub/a.py:b"]).task.scorer == f"{tmp_path}/sub/a.py:b"


def test_a_schema_and_answers_held_to_one_go_together(write, tmp_path):
    (tmp_path / "s.json").write_text("{}")
    for given in ('constrain = "schema"', 'schema_file = "s.json"'):
        ((what, where, _),) = mistakes(write(f"{MINIMAL}[task]\n{given}\n"))
        assert "go together" in what and where == "FILE: task.schema_file"
    both = load_recipe(write(f'{MINIMAL}[task]\nschema_file = "s.json"\nconstrain = "schema"\n'))
    assert both.task.schema_file == tmp_path / "s.json"
