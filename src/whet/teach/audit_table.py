"""The table in which a user marks suspects, as CSV for a spreadsheet."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from whet.data.audit_marks import Mark
from whet.teach.audit import Suspect

BOM = "\ufeff"  # without it spreadsheets do not read the file as UTF-8
COLUMNS = (
    "accept",
    "probability",
    "query",
    "passage",
    "known answer",
    "reason",
    "query_id",
    "passage_id",
)


def as_table(
    suspects: Sequence[Suspect],
    answers: Mapping[str, str],
    marks: Sequence[Mark] = (),
) -> str:
    """The suspects as a CSV table whose column `accept` is to be filled with yes or no.

    `answers` is query id → a known answer. `marks` of an earlier table are kept: in the rows of
    their pairs, and at the end of the table where a pair is no suspect any more.
    """
    marked_rows = {(mark.query, mark.passage): mark.row for mark in marks}
    rows: list[Mapping[str, Any]] = []
    for suspect in suspects:
        marked_row = marked_rows.pop((suspect.query_id, suspect.passage_id), {})
        rows.append(
            {
                "accept": marked_row.get("accept", ""),
                "probability": suspect.probability,
                "query": suspect.query,
                "passage": suspect.passage,
                "known answer": answers[suspect.query_id],
                "reason": suspect.reason,
                "query_id": suspect.query_id,
                "passage_id": suspect.passage_id,
            }
        )
    rows += marked_rows.values()

    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return BOM + out.getvalue()
