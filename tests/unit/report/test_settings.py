"""What sets variants apart, in words and as columns."""

from workflow.lib.report.settings import differences, flat


def test_sections_become_dotted_keys():
    settings = {"prompt": "alpaca", "training": {"seed": 1, "lora": {"rank": 4}}, "sweep": {}}
    assert flat(settings) == {
        "prompt": "alpaca",
        "training.seed": 1,
        "training.lora.rank": 4,
        "sweep": {},
    }


def test_only_what_is_not_the_same_in_all_is_named():
    one = {"prompt": "alpaca", "training": {"epochs": 2, "learning_rate": 5e-05, "lora": None}}
    other = {"prompt": "alpaca", "training": {"epochs": 2, "learning_rate": 1e-3, "lora": None}}
    assert differences({"one": one, "other": other}) == {
        "one": "learning_rate 5e-05",
        "other": "learning_rate 0.001",
    }
    assert differences({"one": one, "same": one}) == {"one": "", "same": ""}
    assert differences({"one": one}) == {"one": ""}


def test_a_section_that_one_has_and_the_other_not_is_named_by_its_keys():
    one = {"training": {"lora": None, "mask_prompt": True}}
    other = {"training": {"lora": {"rank": 4, "alpha": 8.0}, "mask_prompt": False}}
    assert differences({"one": one, "other": other}) == {
        "one": "lora none, mask_prompt true",
        "other": "mask_prompt false, rank 4, alpha 8.0",
    }


def test_keys_that_share_their_last_part_are_named_in_full():
    one = {"training": {"seed": 1}, "generation": {"seed": 1}}
    other = {"training": {"seed": 2}, "generation": {"seed": 3}}
    assert differences({"one": one, "other": other})["other"] == (
        "training.seed 2, generation.seed 3"
    )
    # A false value and zero are not the same.
    assert differences({"a": {"x": False}, "b": {"x": 0}}) == {"a": "x false", "b": "x 0"}
