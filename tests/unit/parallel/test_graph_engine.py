"""Graphs in the engine: nothing is overwritten before it is read, and memory may run out.

That losses and gradients are right is in tests/gpu, on recorded graphs and on CUDA.
"""

import pytest
import torch

from tests.support.models import END, random_model
from tests.support.oracle import collate_textbook
from tests.support.recorded_graphs import record_graphs
from workflow.lib.parallel import engine as module
from workflow.lib.parallel.engine import Engine
from workflow.lib.parallel.graph_engine import GraphEngine

BATCH = collate_textbook([[1, 2, 3, 4, 5, 6], [1, 2, 9], [1, 2, 3, 7, 7], [8, 9], [7, 5]], END)
OTHER = collate_textbook([[1, 2, 3, 4, 5, 9], [1, 2, 8], [1, 2, 3, 7, 6], [8, 7], [7, 4]], END)


@pytest.fixture
def engine(monkeypatch):
    """An engine on recorded graphs that computes a batch in micro-batches of three and two rows."""
    record_graphs(monkeypatch)
    return GraphEngine(random_model(5), micro_batches=2)


def gradients_of(engine):
    engine.model.zero_grad()
    engine.backward(*BATCH)
    return [weight.grad.clone() for weight in engine.model.parameters()]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_each_pass_of_an_evaluation_is_read_before_the_next(engine, monkeypatch):
    """All are of one size, so that each overwrites the losses of the one before."""
    monkeypatch.setattr(module, "TOGETHER", 2)
    batches = [BATCH, OTHER, BATCH, OTHER, BATCH]
    expected = Engine(random_model(5)).losses(batches)
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)
    assert engine.losses(batches) == pytest.approx(expected, abs=1e-5)
    assert engine.graphs.recorder.replayed == 4


def test_gradients_of_training_and_losses_between_them_stay_apart(engine):
    expected = gradients_of(Engine(random_model(5)))
    for _ in range(4):
        assert_close(gradients_of(engine), expected)
        engine.losses([BATCH])
    assert engine.graphs.recorder.captured == 3  # of two micro-batches and of losses


def test_where_memory_runs_out_in_a_step_it_is_computed_again_from_its_beginning(engine):
    expected = gradients_of(Engine(random_model(5)))
    assert_close(gradients_of(engine), expected)
    done = []

    def full(action):
        if done:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(1)
        return engine_captures(action)

    engine_captures, engine.graphs.recorder.capture = engine.graphs.recorder.capture, full
    assert_close(gradients_of(engine), expected)  # the first micro-batch was added already
    assert engine.graphs.recorder is None
    assert_close(gradients_of(engine), expected)
    assert engine.losses([BATCH]) == pytest.approx(Engine(random_model(5)).losses([BATCH]))


def test_what_else_the_model_computes_may_have_the_memory_of_graphs(engine):
    gradients_of(engine)
    asked = []

    def needs_much(text):
        asked.append(text)
        if engine.graphs.inputs:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert engine.call(needs_much, "a sample") == "done"
    assert asked == ["a sample"] * 2


def test_frozen_weights_have_no_gradients(engine):
    engine.model.requires_grad_(False)
    engine.model.out_head.requires_grad_(True)
    for _ in range(3):
        engine.model.zero_grad()
        engine.backward(*BATCH)
    with_gradient = [n for n, weight in engine.model.named_parameters() if weight.grad is not None]
    assert with_gradient == ["out_head.weight"]
