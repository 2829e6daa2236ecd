"""The logs of a round of re-mining, as its files hold them."""

JOB = {
    "round": 2,
    "mined_at": 12,
    "epoch": 1.5,
    "cost": "pool",
    "queries": 1500,
    "dev": 0.25,
    "threads": 3,
    "boundaries": [6, 12],
}
MINED = JOB | {
    "encoded": 4200,
    "recall": 0.75,
    "candidates": 900,
    "taken": {"given": 0, "ance": 64},
    "left_over": 700,
    "dropped": {"known_positive": 32},
    "short": 1,
    "mean_negative_score": 0.5,
    "mean_positive_score": None,
    "positives": 32,
    "positives_found": 30,
    "mean_positive_rank": 4.5,
    "suspected_share": 0.125,
    "seconds": 7.25,
}
SUMMARY = MINED | {"used_from": 14, "new_queries": 20, "overlap": 0.5}
