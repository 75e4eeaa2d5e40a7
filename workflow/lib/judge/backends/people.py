"""People as a judge: their ratings, saved from the rating page, each rater as one repeat."""

from collections.abc import Mapping, Sequence
from typing import Literal

from workflow.lib.data.entries import first_few
from workflow.lib.judge.backend import ServerlessBackend, Verdicts
from workflow.lib.judge.ratings import (
    PAGE,
    Answer,
    Ratings,
    ValueT,
    answer_of,
    pair_of,
    read_pair_ratings,
    read_ratings,
)
from workflow.lib.judge.scores import text_sha256
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import local_path
from workflow.lib.runtime.log import log
from workflow.lib.settings.judges import RatedJudge


class People(RatedJudge):
    """People, who rate the answers on the page rating.html."""

    backend: Literal["people"]

    @property
    def label(self) -> str:
        """A description of the judge."""
        return "the ratings of people"

    @property
    def note(self) -> str:
        """The note after the judge's name on the console."""
        return "people"


class PeopleBackend(ServerlessBackend[People]):
    """Looks up the ratings of the responses."""

    def scores(self, entries: Sequence[Mapping[str, str]]) -> list[list[float | None]]:
        """Return the rating of each response by each rater, None where there is none.

        Raises:
            UserError: a file is not one of the page, or no response is rated.
        """
        ratings = read_ratings([local_path(file) for file in self.settings.ratings])
        return self._looked_up(ratings, [answer_of(entry) for entry in entries])

    def verdicts(
        self, entries: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]
    ) -> list[list[Verdicts]]:
        """Return what each rater says about each pair, in the one order that the page showed.

        Raises:
            UserError: a file is not one of the page, or no pair is rated.
        """
        ratings = read_pair_ratings([local_path(file) for file in self.settings.ratings])
        asked = [pair_of(entry, pair) for entry, pair in zip(entries, pairs, strict=True)]
        found: list[list[Verdicts]] = []
        for said, (own, _) in zip(self._looked_up(ratings, asked), pairs, strict=True):
            digest = text_sha256(own)
            found.append([])
            for each in said:
                if each is None:
                    found[-1].append((None, None))
                elif each.first == digest:
                    found[-1].append((each.better, None))
                else:
                    found[-1].append((None, each.better))
        return found

    def _looked_up(
        self, ratings: Ratings[ValueT], answers: Sequence[Answer]
    ) -> list[list[ValueT | None]]:
        """Return what each rater says about each answer, and log how many are rated.

        Args:
            answers: one to each test entry, or a pair.

        Raises:
            UserError: none is rated.
        """
        files = self.settings.ratings
        rows = [[ratings.given[r].get(answer) for r in ratings.raters] for answer in answers]
        listed = {entry for entry, *_ in ratings.answers}
        on_page = [number for number, (entry, *_) in enumerate(answers) if entry in listed]
        again = f"make {PAGE} again, have it rated, and add the file that is saved to `ratings`"
        if not on_page:
            raise UserError(
                f"{', '.join(files)}: about none of these {len(answers)} test entries; {again}"
            )
        changed = [number for number in on_page if answers[number] not in ratings.answers]
        if not any(value is not None for row in rows for value in row):
            why = "hold other responses" if len(changed) == len(on_page) else "rate no response"
            raise UserError(
                f"{', '.join(files)}: {why} to these {len(on_page)} test entries; {again}"
            )
        if changed:
            log.warning(
                "%d responses are not those of the page, and are not judged: entry %s; %s",
                len(changed),
                first_few(map(str, changed)),
                again,
            )
        for number, rater in enumerate(ratings.raters):
            rated = sum(row[number] is not None for row in rows)
            log.info("rater %s: %d of %d responses", rater, rated, len(on_page))
        return rows
