"""Given replies of judges: none is read as another score than a person reads in it."""

import json

from workflow.lib.judge.parse import read_score


def test_no_score_is_wrong_and_nine_of_ten_are_read(real_data) -> None:
    replies = json.loads((real_data / "judge-replies" / "replies.json").read_text("utf-8"))
    read = {reply["reply"]: read_score(reply["reply"]) for reply in replies}
    assert not [r for r in replies if read[r["reply"]] not in (r["person"], None)]
    scores = [r for r in replies if r["person"] is not None]
    assert sum(read[r["reply"]] is not None for r in scores) >= 0.9 * len(scores)
