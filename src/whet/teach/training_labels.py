"""The labels of the training pairs, from the scores of all teachers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64

from whet.errors import ConfigError
from whet.records import Teacher
from whet.teach.calibrate import Calibration, calibrated
from whet.teach.config import TeachConfig
from whet.teach.labels import label
from whet.teach.pairs import Pairs
from whet.teach.quality import Quality, agreement, weights_by_quality
from whet.teach.scores import score_pairs
from whet.teach.summary import TeachSummary

logger = logging.getLogger(__name__)

Labels: TypeAlias = Float64[np.ndarray, " pair"]
Relevant: TypeAlias = Bool[np.ndarray, " pair"]


@dataclass(frozen=True, slots=True)
class TeacherScores:
    """One teacher's calibrated scores of the training pairs, and its quality on dev."""

    scores: Labels
    quality: Quality


ByTeacher: TypeAlias = Mapping[str, TeacherScores]


def calibrated_scores(
    teacher: Teacher,
    pairs: Pairs,
    background: Pairs | None,
    calibration: Calibration,
    store: Path,
) -> Labels:
    """One teacher's scores of the training pairs in [0, 1].

    `background` are random pairs, for the calibration of that name; `store` is the folder of all
    teachers' scores.
    """
    background_scores = None
    if background is not None:
        background_scores = score_pairs(teacher, background, store)
    scores = score_pairs(teacher, pairs, store)
    return calibrated(scores, pairs.query_rows, calibration, background_scores)


def choose_teachers(by_teacher: ByTeacher, *, required: bool) -> dict[str, TeacherScores]:
    """The teachers that are better than chance on dev; a warning names each other one.

    Raises ConfigError where there is none and `required` says that training has no other labels.
    """
    chosen = {}
    for name, teacher in by_teacher.items():
        if teacher.quality.better_than_chance:
            chosen[name] = teacher
        else:
            auc = f"{teacher.quality.auc:.2f}"
            logger.warning(f"teacher {name} is left out: its AUC is {auc}, chance is 0.50")

    if not chosen:
        names = ", ".join(by_teacher)
        problem = f"no teacher of {names} tells positives from other passages better than chance"
        if required:
            raise ConfigError(
                f"{problem}: their labels teach nothing. "
                "Name others in teach.teachers, or set train.loss: clp."
            )
        logger.warning(f"{problem}: the labels are the hard ones")
    return chosen


def labels_of(config: TeachConfig, chosen: ByTeacher, relevant: Relevant) -> Labels:
    """The label of every pair as the settings say; the hard label where no teacher was chosen."""
    if not chosen:
        no_scores = np.empty((0, len(relevant)))
        return label("hard", no_scores, relevant)

    teachers = chosen.values()
    weights = None
    if config.weigh == "quality":
        weights = weights_by_quality([teacher.quality for teacher in teachers])

    scores = np.stack([teacher.scores for teacher in teachers])
    return label(
        config.labels,
        scores,
        relevant,
        alpha=config.alpha,
        weights=weights,
    )


def summarise(
    by_teacher: ByTeacher,
    chosen: ByTeacher,
    labels: Labels,
    relevant: Relevant,
) -> TeachSummary:
    """The record of the teach stage; numbers are rounded to four digits, qualities are not."""
    qualities = {name: teacher.quality for name, teacher in by_teacher.items()}
    scores = {name: teacher.scores for name, teacher in by_teacher.items()}
    left_out = [name for name in by_teacher if name not in chosen]
    correlations = agreement(scores).round(4).tolist()
    return TeachSummary(
        pairs=len(labels),
        positives=int(relevant.sum()),
        mean_label_of_positives=_mean(labels[relevant]),
        mean_label_of_others=_mean(labels[~relevant]),
        teachers=qualities,
        left_out=tuple(left_out),
        agreement=tuple(tuple(row) for row in correlations),
    )


def _mean(labels: Labels) -> float | None:
    """The mean, rounded; None where there is no label."""
    if not len(labels):
        return None
    return round(float(labels.mean()), 4)
