"""Labels on disk: one row a pair, with what each teacher said of it."""

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
    """Write LABELS: query_id, passage_id, relevant, label, and a column for each teacher's calibrated scores."""
    import pyarrow as pa
    from pyarrow import parquet

    queries, passages = zip(*ids, strict=True)
    columns = {
        "query_id": queries,
        "passage_id": passages,
        "relevant": relevant,
        "label": labels,
        **scores,
    }
    parquet.write_table(pa.table(columns), folder / LABELS)


def read_labels(folder: Path) -> dict[str, dict[str, float]]:
    """Query id → passage id → label; raises ArtifactError when the file is missing or damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / LABELS
    try:
        table = parquet.read_table(path, columns=["query_id", "passage_id", "label"])
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error
    found: dict[str, dict[str, float]] = {}
    for query, passage, label in zip(
        *(column.to_pylist() for column in table.columns), strict=True
    ):
        found.setdefault(query, {})[passage] = label
    return found
