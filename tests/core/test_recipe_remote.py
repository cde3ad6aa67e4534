"""Models behind an API, as a recipe names them."""

import pytest

from residency.core.recipe import Recipe
from residency.core.recipe_file import load_recipe
from tests.core.recipes import MINIMAL, mistakes

REMOTE = """[[candidates.remote]]
name = "{name}"
url = "{url}"
model = "m"
price_in = 1
price_out = 2
{more}
"""


def remote(name="big", url="https://api.example.com/v1", more=""):
    return REMOTE.format(name=name, url=url, more=more)


def test_remote_models_are_tables_of_a_list(write):
    recipe = load_recipe(write(MINIMAL + remote(url="http://localhost:1/v1/") + remote("small")))
    big, small = recipe.candidates.remote
    assert (big.url, small.name) == ("http://localhost:1/v1", "small")
    assert recipe.candidates.remote_of("small/few-shot") == small
    assert recipe.candidates.remote_of("small") is None and recipe.candidates.remote_of("few-shot") is None
    assert big.cost(1000, 500) == (1000 * 1 + 500 * 2) / 1_000_000
    assert Recipe.model_validate(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("given", "key", "what"),
    [
        (remote(url="http://api.example.com/v1"), "url", "no https address"),
        (remote(url="ftp://localhost"), "url", "no https address"),
        (remote(url="https://api example.com"), "url", "no https address"),
        (remote(url="https://api.example.com:v1"), "url", "no https address"),
        (remote(url="api.example.com/v1"), "url", "no https address"),
        (remote(more='timeout = "long"'), "timeout", "should be a valid number"),
        (remote(more="prize_in = 1"), "prize_in", "There is no key"),
        ('[[candidates.remote]]\nname = "x"\n', "price_in", "is missing"),
    ],
)
def test_mistakes_in_a_remote_model(write, given, key, what):
    for table, before in ((1, ""), (2, remote("sound"))):
        told = {where: said for said, where, _ in mistakes(write(MINIMAL + before + given))}
        assert what in told[f"FILE: candidates.remote.{key}, table {table}"]


def test_remote_models_need_names_of_their_own(write):
    ((what, _, _),) = mistakes(write(MINIMAL + remote() + remote()))
    assert "same name" in what


def test_a_key_in_the_recipe_is_refused_and_not_shown(write):
    secret = "sk-proj-0123456789"
    for given in (
        remote(more=f'key_env = "{secret}"'),
        remote(more=f'key_env = "{secret.lower().replace("-", "_")}"'),
        remote(more=f'key = "{secret}"'),
        remote(url=f"https://user:{secret}@api.example.com/v1"),
        remote(url=f"https://api.example.com/v1?key={secret}"),
        f'[judge]\nkey_env = "{secret}"\n',
    ):
        told = mistakes(write(MINIMAL + given))
        assert len(told) == 1 and "0123456789" not in str(told)
    told = mistakes(write(MINIMAL), f"judge.key_env={secret}")
    assert len(told) == 1 and "0123456789" not in str(told)
