"""The sides of a benchmark compute the same, and one that cannot run is left out."""

import pytest
import torch

from benchmarks.generate import check_same_tokens
from benchmarks.growth import draw_curves
from benchmarks.opponents import Transformers
from benchmarks.sides import OPPONENTS, opponent, pipeline
from benchmarks.train import prepare
from tests.support.oracle import collate_textbook
from workflow.lib.model.gpt import GPTConfig, GPTModel

CONFIG = GPTConfig(vocab_size=60, context_length=32, emb_dim=16, n_heads=2, n_layers=2)


def random_batches(count: int) -> list:
    random = torch.Generator().manual_seed(1)

    def entry() -> list[int]:
        length = int(torch.randint(3, 20, (), generator=random))
        return torch.randint(59, (length,), generator=random).tolist()

    return [collate_textbook([entry() for _ in range(4)], 59) for _ in range(count)]


def fresh_model() -> GPTModel:
    torch.manual_seed(123)
    return GPTModel(CONFIG)


def test_all_sides_learn_the_same(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    batches, losses = random_batches(10), {}
    sides = {"pipeline": pipeline(fresh_model(), batches, torch.get_num_threads())}
    for kind in OPPONENTS:
        for name in (kind, f"{kind} compiled"):
            sides[name] = opponent(name, fresh_model(), batches)
    for name, actions in sides.items():
        losses[name] = [actions["evaluate"](0)]
        for number in range(5):
            actions["step"](number)
        losses[name].append(actions["evaluate"](0))
    assert len(losses) == 5
    assert losses["pipeline"][1] < losses["pipeline"][0] - 1e-3
    for name in sides:
        assert losses[name] == pytest.approx(losses["pipeline"], abs=1e-5), name


@pytest.mark.slow
def test_a_side_without_its_compiler_is_left_out_with_a_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    sides = prepare(random_batches(10), CONFIG, 1)
    for side in sides:
        side.process.shutdown()
    assert [side.name for side in sides] == ["textbook", "transformers", "pipeline"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert [line.split(":")[0] for line in lines] == [f"{kind} compiled" for kind in OPPONENTS]
    assert all("compiler" in line.split("left out")[1] for line in lines)


def test_sides_with_different_weights_are_not_compared(monkeypatch):
    monkeypatch.setattr("benchmarks.train.start", lambda name, *_: FakeSide(name))
    with pytest.raises(SystemExit, match="different losses of the first batch"):
        prepare(random_batches(2), CONFIG, 1)


class FakeSide:
    """A side whose loss is its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, action: str, number: int) -> float:
        return 10.0 if self.name == "pipeline" else 10.0002


def test_responses_of_different_models_are_not_compared():
    """Prompts have different lengths, so transformers' are padded."""
    model, prompts = fresh_model(), [[5], [7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8]]
    check_same_tokens(model, Transformers(model).eval(), prompts)
    other = Transformers(model).eval()
    with torch.no_grad():
        other.model.lm_head.weight.neg_()
    with pytest.raises(SystemExit, match="different first tokens"):
        check_same_tokens(model, other, prompts)


def test_what_grows_is_drawn_with_the_same_bytes_again(tmp_path):
    curves = {"report": [0.2, 2.0, 30.0], "report, MB": [0.1, 0.8, 6.0]}
    for name in ("one", "two"):
        draw_curves(tmp_path / "figures" / f"{name}.svg", "variants", (4, 40, 400), curves)
    one, two = sorted((tmp_path / "figures").iterdir())
    assert one.read_bytes() == two.read_bytes()
    assert len(one.read_bytes()) < 20_000
    for words in ("seconds of a core; MB", "variants", "400", "report, MB"):
        assert f">{words}<" in one.read_text("utf-8")
