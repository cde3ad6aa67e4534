import importlib.util
import sys

import pytest
import torch

from residency.models import memory
from residency.models.memory import PeakMemory, free_memory, most_held_by, used_memory, within_limit

CPU = torch.device("cpu")
MIB = 2**20
N = 1000
"""Numbers in a tensor here; each takes four bytes."""


def most(work) -> int:
    return most_held_by(work, CPU)


def test_a_tensor_counts_while_it_is_held():
    def work():
        a = torch.ones(N)
        b = a * 2
        del a
        return b + 1  # b and the sum: never three at a time

    assert most(work) == 2 * 4 * N


def test_what_autograd_alone_holds_counts():
    x = torch.ones(N, requires_grad=True)
    # the derivative of exp is its result, so that all three are kept, and the sum
    assert most(lambda: x.exp().exp().exp().sum()) == 3 * 4 * N + 4


def test_views_and_what_was_there_before_count_nothing():
    before = torch.ones(N)

    def work():
        before.add_(1)
        torch._foreach_add_([before], 1.0)
        return before.view(10, -1)[0].unsqueeze(0)

    assert most(work) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the mark can be set back on Linux alone")
def test_the_peak_is_told_after_it_is_past_and_can_be_set_back():
    peak, before = PeakMemory(CPU), used_memory(CPU)
    held = torch.ones(64 * MIB)
    del held
    assert 250 * MIB < peak.read() - before < 300 * MIB
    assert PeakMemory(CPU).read() < before + 100 * MIB


def test_a_system_without_resource_can_import_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    spec = importlib.util.spec_from_file_location("memory_elsewhere", memory.__file__)
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_containers_limit_bounds_what_is_free(tmp_path):
    assert within_limit(tmp_path, 7000) == 7000
    (tmp_path / "memory.max").write_text("max\n")
    assert within_limit(tmp_path, 7000) == 7000
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.stat").write_text("anon 1200\nfile 3000\nanon_thp 9\n")
    assert within_limit(tmp_path, 7000) == 3800
    (tmp_path / "memory.max").write_text("1000\n")
    assert within_limit(tmp_path, 7000) == 0


def test_less_is_free_than_the_machine_has():
    assert 0 < free_memory(CPU) < 2**50
