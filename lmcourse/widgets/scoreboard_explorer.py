"""The scoreboard explorer of chapter 10: every model on one job, against what it took."""

from __future__ import annotations

import statistics
from typing import Any

import traitlets

from lmcourse.scoreboard import JOBS, SHARES, Standing, standings
from lmcourse.widgets.base import CourseWidget, table

BARS = ("n-gram", "word by word")
SHARE_AXIS = "share of the text"
AXES = ("parameters", "seconds of training", "tokens a second", SHARE_AXIS)


class ScoreboardExplorer(CourseWidget):
    """Choose a job, and compare how good the models are at it with what they took.

    Every trait but `data` can be set from Python, and read after the reader has played.

    Args:
        job: What the models do: a key of `lmcourse.scoreboard.JOBS`.
        axis: What lies along the axis: one of `AXES`.
        share: The share of the text that they learned from: a key of `lmcourse.scoreboard.SHARES`.
            The share of the text as the axis shows all of them.

    Raises:
        ValueError: There is no such job, axis or share, or the results are not stored.

    >>> ScoreboardExplorer("translation", share="10%")
    ScoreboardExplorer('translation', axis='parameters', share='10%')
    """

    name = "scoreboard_explorer"

    job = traitlets.Unicode("next word", help="What the models do.").tag(sync=True)
    axis = traitlets.Unicode("parameters", help="What lies along the axis.").tag(
        sync=True
    )
    share = traitlets.Unicode("100%", help="The share of the text learned from.").tag(
        sync=True
    )
    data = traitlets.List(
        traitlets.Dict(), read_only=True, help="The standings of every job."
    ).tag(sync=True)

    def __init__(self, job: str = "next word", **kwargs: Any) -> None:
        super().__init__(job=job, **kwargs)
        self.set_trait("data", [_board(name) for name in JOBS])

    @traitlets.validate("job")
    def _check_job(self, proposal: Any) -> str:
        return _one_of("job", proposal["value"], JOBS)

    @traitlets.validate("axis")
    def _check_axis(self, proposal: Any) -> str:
        return _one_of("axis", proposal["value"], AXES)

    @traitlets.validate("share")
    def _check_share(self, proposal: Any) -> str:
        return _one_of("share", proposal["value"], SHARES)

    def fallback(self) -> str:
        job = JOBS[self.job]
        better = "higher" if job.higher_is_better else "lower"
        score = f"score: {job.quality} ({better} is better), mean of the seeds"
        if self.axis == SHARE_AXIS:
            caption = f"{job.question.capitalize()}, by {SHARE_AXIS}; {score}"
            boards = [standings(self.job, share) for share in SHARES]
            rows = [
                [lines[0].name, *(_score(line, job.higher_is_better) for line in lines)]
                for lines in zip(*boards, strict=True)
            ]
            return table(caption, ["model", *SHARES], rows)
        caption = f"{job.question.capitalize()}, with {self.share} of the text; {score}"
        header = ["model", "parameters", "seconds of training", "tokens a second"]
        rows = [
            [
                line.name,
                f"{line.parameters:,}",
                _duration(statistics.fmean(line.seconds)),
                f"{statistics.fmean(line.tokens_per_second):,.0f}",
                _score(line, job.higher_is_better),
            ]
            for line in standings(self.job, self.share)
        ]
        return table(caption, [*header, "score (worst to best seed)"], rows)

    def __repr__(self) -> str:
        return f"ScoreboardExplorer({self.job!r}, axis={self.axis!r}, share={self.share!r})"


def _one_of(trait: str, value: str, there: Any) -> str:
    if value not in there:
        raise ValueError(f"{trait}={value!r} is not there; choose from {list(there)}")
    return value


def _board(name: str) -> dict[str, Any]:
    """A job with its lines. Lists keep their order in JSON, where the keys are sorted."""
    job = JOBS[name]
    boards = [standings(name, share) for share in SHARES]
    return {
        "job": name,
        "question": job.question,
        "quality": job.quality,
        "higher": job.higher_is_better,
        "lines": [_line(lines, job.paths) for lines in zip(*boards, strict=True)],
    }


def _line(lines: tuple[Standing, ...], suffixes: Any) -> dict[str, Any]:
    """An entrant of a job; an entry for each share."""
    name = lines[0].name
    suffix = next(suffix for suffix in suffixes if name.endswith(suffix))
    model = name.removesuffix(suffix)
    return {
        "name": name,
        "model": model,
        "way": suffix.removeprefix(", "),
        "counted": lines[0].counted,
        "bar": model in BARS,
        "shares": [
            {
                "share": share,
                "part": part,
                "parameters": line.parameters,
                "seconds": line.seconds,
                "tokens_per_second": line.tokens_per_second,
                "scores": line.scores,
            }
            for (share, part), line in zip(SHARES.items(), lines, strict=True)
        ],
    }


def _score(line: Standing, higher_is_better: bool) -> str:
    worst, best = sorted(
        (min(line.scores), max(line.scores)), reverse=not higher_is_better
    )
    return f"{statistics.fmean(line.scores):.3f} ({worst:.3f} to {best:.3f})"


def _duration(seconds: float) -> str:
    units = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
    unit = next((unit for unit, size in units.items() if seconds >= size), "µs")
    return f"{float(f'{seconds / units[unit]:.3g}'):,g} {unit}"
