"""Judges: how good a response is beside the reference, as a score from 0 to 100 (section 7.8).

`check.check_judge` looks before anything expensive whether a judge can be asked,
`score.judge_responses` asks it, and `identity.judge_identity` says what its answers depend on.
"""
