"""Trees of shared prefixes, their layout, and the micro-batches cut from them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from residency.chat import Rendered
from residency.models.packed.packing import micro_batches, pack, packed_length
from residency.models.packed.tree import build_tree

from .conftest import draw_sequences

TOKENS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=24), min_size=1, max_size=12)


@given(TOKENS)
def test_paths_spell_the_sequences_and_no_token_comes_twice_in_one(sequences):
    tree = build_tree(sequences)
    for ids, path in zip(sequences, tree.paths, strict=True):
        nodes = [tree.nodes[number] for number in path]
        assert [n.begin for n in nodes] == [0, *(n.end for n in nodes[:-1])]
        assert [t for n in nodes for t in sequences[n.sequence][n.begin : n.end]] == ids
        assert all(n.parents == path[:depth] for depth, n in enumerate(nodes))


def test_three_levels_by_hand():
    system, question = list(range(100, 120)), list(range(200, 210))
    rows = [system + question + [1, 2, 3], system + question + [4, 5], system + [9] * 7]
    tree = build_tree(rows)
    spans = [(n.begin, n.end) for n in tree.nodes]
    assert sorted(spans) == [(0, 20), (20, 27), (20, 30), (30, 32), (30, 33)]
    assert packed_length([Rendered(r, [True] * len(r)) for r in rows]) == 20 + 10 + 2 + 1 + 6


def test_a_prefix_that_saves_next_to_nothing_is_not_shared():
    assert len(build_tree([[1, 2, 3, *range(10, 20)], [1, 2, 3, *range(20, 30)]]).nodes) == 2
    assert len(build_tree([[*range(8), 98], [*range(8), 99]]).nodes) == 3


def test_equal_rows_are_computed_once_and_predicted_for_each():
    row = Rendered(list(range(12)), [False] * 6 + [True] * 6)
    packed = pack([row, row, row])
    assert packed.layout.tokens == 11
    assert packed.ids_T.tolist() == row.ids[:11] + [0] * 53
    assert packed.sequence_N.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert packed.predict_P.tolist() == list(range(5, 11))


def test_what_stands_behind_the_last_supervised_token_is_not_computed():
    turn = Rendered([7, 8, 9, 5, 6], [False, True, True, False, False])
    assert pack([turn]).ids_T.tolist()[:3] == [7, 8, 0]
    assert packed_length([turn]) == 2
    assert packed_length([Rendered([7, 8], [False, False])]) == 1


@given(TOKENS)
def test_states_and_targets_are_those_of_each_row_alone(sequences):
    rows = [Rendered(ids, [True] * len(ids)) for ids in sequences]
    packed = pack(rows)
    where = packed.predict_P[packed.state_N]
    for number, (ids, _) in enumerate(rows):
        of_row = packed.sequence_N == number
        assert packed.target_N[of_row].tolist() == ids[1:]
        assert packed.ids_T[where[of_row]].tolist() == ids[:-1]
        assert packed.position_T[where[of_row]].tolist() == list(range(len(ids) - 1))


@given(TOKENS, st.integers(1, 80))
def test_micro_batches_hold_every_row_once_within_the_budget(sequences, budget):
    rows = [Rendered(ids, [True] * len(ids)) for ids in sequences]
    parts = list(micro_batches(rows, budget))
    assert sorted(r.ids for part in parts for r in part) == sorted(sequences)
    for part in parts:
        assert len(part) == 1 or packed_length(part) <= budget


def test_rows_of_one_prompt_stay_together():
    """Two prompts, each with its rows: cut in two, each part holds one prompt."""
    one, other = draw_sequences(1, 60, [5, 9, 7]), draw_sequences(2, 60, [6, 8, 4])
    mixed = [row for pair in zip(one, other, strict=True) for row in pair]
    parts = list(micro_batches(mixed, 100))
    assert sorted(len({tuple(r.ids[:60]) for r in part}) for part in parts) == [1, 1]
