"""Stage `teach`: several teachers score the training pairs, and their scores become soft labels.

Reads the data and mine/negatives.jsonl. Writes labels.parquet, summary.json. Scores are stored in
RUN/scores by teacher, so no pair is scored twice, whatever setting changes.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from whet.evaluate.measures import PRIMARY, areas, means, per_query
from whet.evaluate.retrieve import retrieve
from whet.files import write_json
from whet.mine.known import known_positives
from whet.mine.mined import read_mined
from whet.run.folder import Run
from whet.stage_folder import Artifact, run_stage
from whet.teach.dev_pairs import DEV_DEPTH, DevPairs, DevScores, dev_pairs, draw_passages
from whet.teach.label_file import write_labels
from whet.teach.named import check_teacher_name, teacher_digest, teacher_of
from whet.teach.pairs import PairId, pairs_of, random_pairs, training_pairs
from whet.teach.quality import Quality
from whet.teach.scores import score_pairs
from whet.teach.summary import TeachSummary
from whet.teach.training_labels import (
    TeacherScores,
    calibrated_scores,
    choose_teachers,
    labels_of,
    summarise,
)

NAME = "teach"
AUDIT_SETTINGS = {"audit_depth", "suspect"}  # of the audit alone: labels do not depend on them

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/teach` up to date; without soft labels it holds an empty summary.

    Raises TeacherError when a teacher fails, ConfigError when a name means no teacher, or when
    training has no other labels and no teacher is better than chance.
    """
    if not run.recipe.train.taught:
        return run_stage(run.path, NAME, inputs=run.inputs, config={}, build=_write_no_labels)

    mine = done["mine"]

    def write(folder: Path) -> None:
        pairs = pairs_to_label(run, mine.path)
        _write_soft_labels(run, folder, pairs)

    inputs = run.inputs | {"mine": mine.fingerprint}
    return run_stage(run.path, NAME, inputs=inputs, config=teach_settings(run), build=write)


def check_settings(run: Run) -> None:
    """Raise ConfigError, before any work is done, where teaching needs a teacher that cannot be."""
    recipe = run.known_recipe
    if recipe.train.taught:
        check_teachers(recipe.teach.teachers)


def check_teachers(names: tuple[str, ...]) -> None:
    """Raise ConfigError for a name that cannot mean a teacher."""
    for name in names:
        check_teacher_name(name)


def teach_settings(run: Run) -> dict[str, Any]:
    """The settings that labels depend on, and hashes of the files that teachers are read from."""
    config = run.recipe.teach
    files = {name: teacher_digest(name) for name in config.teachers}
    return {
        "teach": config.model_dump(exclude=AUDIT_SETTINGS),
        "files": files,
        "alone": run.recipe.train.loss == "soft",
    }


def pairs_to_label(run: Run, mine: Path) -> list[PairId]:
    """The training pairs of a run; `mine` is the folder of its mined negatives."""
    return training_pairs(
        run.collection,
        read_mined(mine / "negatives.jsonl"),
        known_positives(run.collection),
        run.recipe.teach.cross_pairs,
    )


def _write_no_labels(folder: Path) -> None:
    write_json(folder / "summary.json", TeachSummary().to_json())


def _write_soft_labels(run: Run, folder: Path, pairs: list[PairId]) -> None:
    """Score the pairs with every teacher; write labels and summary."""
    positives = set(run.collection.pairs("train"))
    relevant = np.array([pair in positives for pair in pairs])

    by_teacher = _score_by_all(run, pairs)
    labels_only = run.recipe.train.loss == "soft"
    chosen = choose_teachers(by_teacher, required=labels_only)
    for name, teacher in by_teacher.items():
        auc = teacher.quality.auc
        ndcg = 100 * teacher.quality.ndcg
        logger.info(f"teacher {name}: AUC {auc:.2f}, nDCG@10 {ndcg:.1f}")

    labels = labels_of(run.recipe.teach, chosen, relevant)
    scores = {name: teacher.scores for name, teacher in chosen.items()}
    write_labels(folder, pairs, relevant, labels, scores)
    summary = summarise(by_teacher, chosen, labels, relevant)
    write_json(folder / "summary.json", summary.to_json())


def _score_by_all(run: Run, pairs: list[PairId]) -> dict[str, TeacherScores]:
    """Every teacher's calibrated scores of the pairs, and its quality on dev."""
    config = run.recipe.teach
    collection = run.collection
    store = run.path / "scores"
    texts = pairs_of(collection, pairs)
    background = None
    if config.calibration == "background":
        background = random_pairs(collection, config.background, config.seed)
    dev = _dev_pairs(run)
    dev_texts = pairs_of(collection, dev.scored)

    by_teacher = {}
    for name in config.teachers:
        teacher = teacher_of(name, collection, run.base_encoder)
        scores = calibrated_scores(
            teacher,
            texts,
            background,
            config.calibration,
            store,
        )
        dev_scores = score_pairs(teacher, dev_texts, store)
        quality = _quality(dev, dev_scores)
        by_teacher[name] = TeacherScores(scores, quality)
        del teacher  # before the next one is loaded
    return by_teacher


def _dev_pairs(run: Run) -> DevPairs:
    """The pairs by which the teachers are measured.

    Without a dev split the training queries serve: no teacher has learned from them.
    """
    collection = run.collection
    split = "dev" if collection.positives("dev") else "train"
    positives = collection.positives(split)
    queries = {query: collection.queries[query] for query in positives}
    nearest = retrieve(
        run.base_encoder,
        queries,
        run.passages,
        depth=DEV_DEPTH,
    )
    drawn = draw_passages(
        list(queries),
        list(run.passages),
        run.recipe.teach.seed,
    )
    return dev_pairs(
        collection.qrels[split],
        positives,
        nearest,
        drawn,
        known_positives(collection),
    )


def _quality(dev: DevPairs, scores: DevScores) -> Quality:
    """A teacher's quality from its scores of the dev pairs."""
    labelled_scores = dev.labelled_scores(scores)
    auc, auprc = areas(labelled_scores, dev.is_positive)
    ranking = dev.ranking(scores)
    by_query = per_query(dev.qrels, ranking, [PRIMARY])
    ndcg = means(by_query)[PRIMARY]
    return Quality(auc, auprc, ndcg)
