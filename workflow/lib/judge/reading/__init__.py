"""What a judge wrote, read as a score.

In: a reply. Out: the score that it states, or none. Open `workflow/lib/judge/parse.py` first; the
order of its steps is `thoughts.py`, `plain.py`, `json_score.py` and `statements.py`.
"""
