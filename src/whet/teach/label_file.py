"""Labels on disk: one row for each pair, with every teacher's score."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from whet.errors import ArtifactError

LABELS = "labels.parquet"


def write_labels(
    folder: Path,
    ids: Sequence[tuple[str, str]],
    relevant: Bool[np.ndarray, " pair"],
    labels: Float64[np.ndarray, " pair"],
    scores: Mapping[str, Float64[np.ndarray, " pair"]],
) -> None:
    """Write LABELS: query_id, passage_id, relevant, label, and each teacher's calibrated scores."""
    import pyarrow as pa
    from pyarrow import parquet

    query_ids, passage_ids = zip(*ids, strict=True)
    columns = {
        "query_id": query_ids,
        "passage_id": passage_ids,
        "relevant": relevant,
        "label": labels,
        **scores,
    }
    table = pa.table(columns)
    parquet.write_table(table, folder / LABELS)


def read_labels(folder: Path) -> dict[str, dict[str, float]]:
    """Query id → passage id → label.

    Raises ArtifactError when the file is missing or damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / LABELS
    try:
        table = parquet.read_table(path, columns=["query_id", "passage_id", "label"])
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error

    query_ids, passage_ids, labels = (column.to_pylist() for column in table.columns)
    by_query: dict[str, dict[str, float]] = {}
    for query_id, passage_id, label in zip(query_ids, passage_ids, labels, strict=True):
        by_passage = by_query.setdefault(query_id, {})
        by_passage[passage_id] = label
    return by_query
