"""The overlap judge on published scores: it agrees with GPT-4 about as well as Llama 3 8B does."""

import pytest

from benchmarks.judge_agreement import measure


def test_overlap_agrees_with_gpt_4_about_as_well_as_llama_3_does(real_data) -> None:
    overlap, llama3 = measure(real_data / "judge-agreement")
    assert (overlap.judge, llama3.judge) == ("overlap", "llama3-8b")
    assert overlap.responses == llama3.responses == 100
    assert overlap.pearson == pytest.approx(0.811, abs=0.001)
    assert llama3.pearson == pytest.approx(0.805, abs=0.001)
    assert overlap.spearman > llama3.spearman


def test_without_exact_matches_the_overlap_judge_is_the_weaker_one(real_data) -> None:
    overlap, llama3 = measure(real_data / "judge-agreement", exact=False)
    assert overlap.responses < 100
    assert overlap.pearson < llama3.pearson
