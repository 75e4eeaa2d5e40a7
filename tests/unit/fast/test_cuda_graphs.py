"""Graphs are called, captured, then replayed; without memory, or without CUDA, only called."""

import pytest
import torch

from tests.support.recorded_graphs import record_graphs
from workflow.lib.fast import cuda_graphs
from workflow.lib.fast.cuda_graphs import Graphs

CPU = torch.device("cpu")


def double(x):
    return x * 2


@pytest.fixture
def graphs(monkeypatch):
    record_graphs(monkeypatch)
    return Graphs(CPU)


def counts(graphs):
    recorder = graphs.recorder
    return recorder.called, recorder.captured, recorder.replayed


def test_each_size_is_called_then_captured_then_replayed(graphs):
    for number in range(4):
        assert graphs("double", double, torch.tensor([number])).tolist() == [2 * number]
        assert graphs("double", double, torch.tensor([number, 9])).tolist() == [2 * number, 18]
    assert counts(graphs) == (2, 2, 6)


def test_what_depends_on_more_than_its_inputs_has_another_name(graphs):
    for factor in (2, 3, 2, 3, 2):
        found = graphs(factor, lambda x, factor=factor: x * factor, torch.tensor([1]))
        assert found.tolist() == [factor]
    assert counts(graphs) == (2, 2, 3)


def test_what_a_graph_changes_is_changed_once_a_call(graphs):
    total = torch.zeros(2)
    for _ in range(4):
        graphs("add", lambda x: total.add_(x).clone(), torch.ones(2))
    assert total.tolist() == [4, 4]


def test_no_more_than_a_few_are_kept(graphs, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST", 1)
    for length in (1, 2, 1, 2, 1, 2):
        assert graphs("double", double, torch.ones(length)).tolist() == [2] * length
    assert counts(graphs) == (4, 1, 2)


def test_a_wait_for_the_device_cannot_be_captured(graphs):
    def waits(x):
        return x * x.sum().item()

    graphs("waits", waits, torch.ones(2))
    with pytest.raises(AssertionError, match="_local_scalar_dense"):
        graphs("waits", waits, torch.ones(2))


FULL, REFUSED = "CUDA out of memory. Tried to", "not permitted when stream is capturing"


@pytest.mark.parametrize("where", ["call", "capture"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError(FULL), "not enough GPU memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"), "not enough GPU memory"),
        (RuntimeError(f"{REFUSED}\nFor debugging"), REFUSED),
    ],
)
def test_where_graphs_fail_it_goes_on_without(graphs, monkeypatch, where, error, reason, caplog):
    graphs("double", double, torch.ones(1))
    if where == "call":
        graphs("double", double, torch.ones(1))

    def fail(action):
        raise error

    monkeypatch.setattr(graphs.recorder, where, fail)
    length = {"call": 2, "capture": 1}[where]
    with caplog.at_level("INFO"):
        for _ in range(3):
            found = graphs.or_without(lambda: graphs("double", double, torch.ones(length)))
            assert found.tolist() == [2] * length
    assert caplog.messages == [f"going on without CUDA graphs, slower: {reason}"]
    assert (graphs.recorder, graphs.inputs, graphs.captured) == (None, {}, {})


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_what_fails_without_graphs_too_fails(graphs, error):
    def fail(*_):
        raise error("this")

    with pytest.raises(error, match="this"):
        graphs.or_without(fail)
    assert graphs.recorder is not None
    for _ in range(2):
        with pytest.raises(error, match="this"):
            graphs.or_without(lambda: graphs("fail", fail, torch.ones(1)))


def test_a_device_without_graphs_calls(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "CudaRecorder", lambda _: pytest.fail("a graph"))
    graphs = Graphs(CPU)
    for number in range(3):
        assert graphs("double", double, torch.tensor([number])).tolist() == [2 * number]
