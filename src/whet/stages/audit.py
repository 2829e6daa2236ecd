"""Stage `audit`: passages that probably answer a training query though nobody marked them.

Reads the data and, once the run has one, the trained model. Writes suspects.jsonl, suspects.csv (to
be marked), index.html, summary.json. `whet tune` does not build it; `whet audit` does.
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from whet.data.audit_marks import Mark, held_out_texts, read_marks
from whet.data.faults import Faults
from whet.data.split import same_text
from whet.files import MANIFEST, read_json, read_jsonl, write_json, write_jsonl, write_text
from whet.generate.paraphrases import is_paraphrase
from whet.mine.known import judged_pairs
from whet.models import load_model, stored_encoder
from whet.records import Teacher
from whet.report.audit_page import render_audit_page
from whet.run.folder import Run
from whet.run.results import read_training_result
from whet.search.dense import top_k
from whet.stage_folder import Artifact, run_stage
from whet.stages.teach import check_teachers, teach_settings
from whet.teach.audit import (
    AuditSummary,
    AuditTeachers,
    Candidate,
    Suspect,
    find_suspects,
    first_answers,
    open_candidates,
)
from whet.teach.audit_table import as_table
from whet.teach.named import teacher_of
from whet.teach.pairs import random_pairs

NAME = "audit"
TUNED = "tuned"  # the teacher that is the run's own trained model
TABLE = "suspects.csv"

logger = logging.getLogger(__name__)


def build(run: Run, done: Mapping[str, Artifact]) -> Artifact:
    """Bring `RUN/audit` up to date.

    Where the run has trained a model, that model is a teacher, too. All queries have taught it what
    an answer is, so it finds far more than the other teachers do by themselves
    (benchmarks/results/planted_audit.json). Passages that answer a dev or test query are never
    suspects: once accepted, training would see them.

    Raises TeacherError when a teacher fails.
    """

    def write(folder: Path) -> None:
        _write_audit(run, folder)

    return run_stage(
        run.path,
        NAME,
        inputs=run.inputs | _tuned_fingerprint(run.path),
        config=teach_settings(run) | {"teach": run.recipe.teach.model_dump()},
        build=write,
    )


def check_settings(run: Run) -> None:
    """Raise ConfigError, before any work, for a name that means no teacher."""
    check_teachers(run.known_recipe.teach.teachers)


def read_suspects(folder: Path) -> list[Suspect]:
    """The suspects that an audit left in its folder, the most probable first."""
    return [Suspect.from_json(row) for row in read_jsonl(folder / "suspects.jsonl")]


def read_summary(folder: Path) -> AuditSummary:
    """The summary of a finished audit."""
    return AuditSummary.from_json(read_json(folder / "summary.json"))


def find_candidates(run: Run) -> list[Candidate]:
    """What the base model ranks high for each training query and nobody judged.

    Paraphrases are left out. They have the answers of their query, which is looked at itself.
    """
    query_ids = list(run.collection.positives("train"))
    texts = [run.collection.queries[query] for query in query_ids]
    passages = list(run.passages.values())
    query_vectors = run.base_encoder.encode_queries(texts)
    passage_vectors = run.base_encoder.encode_passages(passages)

    # (query, rank): passage rows, best first
    hits = top_k(query_vectors, passage_vectors, run.recipe.teach.audit_depth).indices
    judged = judged_pairs(run.collection)

    held_out = held_out_texts(run.collection)
    is_held_out = np.array([same_text(passage) in held_out for passage in passages])

    is_closed = judged.is_known_positive(hits) | judged.is_irrelevant(hits) | is_held_out[hits]
    is_closed[[is_paraphrase(query, run.collection) for query in query_ids]] = True
    return open_candidates(hits, is_closed)


def has_tuned_model(path: Path) -> bool:
    """Whether a run has trained a model and kept it."""
    is_trained = (path / "train" / MANIFEST).exists()
    return is_trained and read_training_result(path).kept == "tuned"


def _tuned_fingerprint(path: Path) -> dict[str, str]:
    """The fingerprint of the trained model; a warning, and nothing, where the run has none."""
    manifest = path / "train" / MANIFEST
    if has_tuned_model(path):
        return {TUNED: read_json(manifest)["fingerprint"]}
    if manifest.exists():
        logger.warning(
            "the run kept its base model, so there is no tuned model to ask; "
            "`whet tune --force` makes one"
        )
    else:
        logger.warning(
            "this run has not trained a model yet: after `whet tune` an audit finds much more"
        )
    return {}


def _write_audit(run: Run, folder: Path) -> None:
    candidates = find_candidates(run)
    suspects = find_suspects(
        run.collection,
        candidates,
        _teachers(run),
        run.recipe.teach.suspect,
    )
    write_jsonl(folder / "suspects.jsonl", [suspect.to_json() for suspect in suspects])

    answers = first_answers(run.collection)
    marks = _earlier_marks(run.path)
    write_text(folder / TABLE, as_table(suspects, answers, marks))
    page = render_audit_page(run.collection.name, suspects, answers)
    write_text(folder / "index.html", page)

    summary = AuditSummary(candidates=len(candidates), suspects=len(suspects))
    write_json(folder / "summary.json", summary.to_json())


def _teachers(run: Run) -> AuditTeachers:
    """The recipe's teachers and, where there is one, the run's trained model."""
    config = run.recipe.teach
    names = list(config.teachers)
    if has_tuned_model(run.path):
        names.append(TUNED)

    def load(name: str) -> Teacher:
        if name == TUNED:
            return _tuned_teacher(run)
        return teacher_of(name, run.collection, run.base_encoder)

    background = random_pairs(run.collection, config.background, config.seed)
    return AuditTeachers(names, load, run.path / "scores", background)


def _tuned_teacher(run: Run) -> Teacher:
    from whet.teach.models import VectorTeacher

    model = load_model(str(run.path / "train" / "model"))
    encoder = stored_encoder(model, run.path)
    return VectorTeacher(encoder, run.collection, TUNED)


def _earlier_marks(path: Path) -> list[Mark]:
    """The marks in the table of an earlier audit; a warning where it cannot be read."""
    table = path / "audit" / TABLE
    if not table.exists():
        return []

    faults = Faults()
    marks = read_marks(table, faults)
    for fault in faults:
        if fault.level == "error" and fault.kind != "empty-file":
            copy = path / "suspects-earlier.csv"
            shutil.copy(table, copy)
            logger.warning(f"{table} cannot be read; it is kept as {copy}: {faults[0]}")
            break
    return marks
