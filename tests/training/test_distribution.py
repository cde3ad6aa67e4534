"""Rows are dealt to processes evenly, each to one; tests/pipeline/test_torchrun.py runs real processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.models.packed.attention import use_packed_attention
from residency.training.distribution import Alone, connect, deal, first_to_end

from .conftest import draw_sequences
from .test_loop import TRAIN, trainer


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=30),
    shared=st.integers(0, 9),
    processes=st.integers(1, 8),
)
def test_every_row_is_dealt_once_and_loads_differ_by_a_row_at_most(lengths, shared, processes):
    rows = draw_sequences(0, shared, lengths)
    shares = deal(rows, processes)
    assert len(shares) == processes
    assert sorted(id(row) for share in shares for row in share) == sorted(map(id, rows))
    if len(rows) >= processes:
        assert all(shares)
    if len({tuple(row.ids) for row in rows}) > 1:
        loads = [sum(len(row.ids) - shared for row in share) for share in shares]
        assert max(loads) - min(loads) <= max(lengths) + 1


def test_a_process_without_rows_of_a_step_adds_nothing(tmp_path):
    class Idle(Alone):
        def share(self, rows):
            return []

    run = trainer(tmp_path)
    use_packed_attention(run.model)
    run.processes = Idle()
    assert run.accumulate(TRAIN, learn=True) == {"loss": 0.0}
    assert all(p.grad is None for p in run.model.parameters())


def test_many_processes_that_torchrun_did_not_start_are_a_mistake(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(ResidencyError, match="4 processes, but RANK, LOCAL_RANK, MASTER_ADDR is not set"):
        connect()
    assert first_to_end()
