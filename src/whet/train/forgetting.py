"""The forgetting set: a general data set that is scored beside dev (setting `guard`)."""

import re
from dataclasses import replace

import numpy as np

from whet.data.pydoc_corpus import STANDARD_LIBRARY, build_pydoc_collection
from whet.data.read import read
from whet.errors import ConfigError, raise_errors
from whet.records import Collection, Judgements
from whet.train.dev import DevSet
from whet.train.forgetting_config import NO_GUARD, PYDOC, GuardConfig

NANO_BEIR = "zeta-alpha-ai"  # owner of NanoNQ, NanoMSMARCO, … on the hub
PYDOC_PAIRS = 600


def forgetting_set(config: GuardConfig) -> DevSet | None:
    """The data set of the forgetting check, cut to the recipe's size.

    It holds some queries at random, every passage that is judged for them, and other passages at
    random. None where the recipe names no set. Raises DataError or ConfigError when the data cannot
    be used.
    """
    if config.data == NO_GUARD:
        return None
    collection = _collection(config)
    judgements = _all_judgements(collection)
    rng = np.random.default_rng(config.seed)

    queries = _drawn_queries(judgements, config, rng)
    passages: set[str] = set()
    for query in queries:
        passages.update(judgements[query])

    ids = list(collection.passages)
    others = [passage for passage in ids if passage not in passages]
    missing = max(0, config.passages - len(passages))
    random_rows = rng.permutation(len(others))
    for row in random_rows[:missing].tolist():
        passages.add(others[row])
    return DevSet(
        queries={query: collection.queries[query] for query in queries},
        qrels={query: judgements[query] for query in queries},
        passages={p: collection.passages[p].content for p in ids if p in passages},
    )


def _all_judgements(collection: Collection) -> Judgements:
    """The judgements of all splits together."""
    judgements: Judgements = {}
    for split in collection.qrels.values():
        for query, grades in split.items():
            earlier = judgements.get(query, {})
            judgements[query] = earlier | grades
    return judgements


def _drawn_queries(
    judgements: Judgements,
    config: GuardConfig,
    rng: np.random.Generator,
) -> list[str]:
    """Queries with a positive, `config.queries` at most, drawn at random, in their order."""
    usable = []
    for query, grades in judgements.items():
        if max(grades.values(), default=0) > 0:
            usable.append(query)
    if not usable:
        raise ConfigError(
            f"guard.data {config.data}: it has no query with a positive passage; "
            "give a set that has one"
        )
    random_rows = rng.permutation(len(usable))
    rows = sorted(random_rows[: config.queries].tolist())  # in the order of the data
    return [usable[row] for row in rows]


def _collection(config: GuardConfig) -> Collection:
    if config.data == PYDOC:
        packages = [STANDARD_LIBRARY]
        return build_pydoc_collection(limit=PYDOC_PAIRS, seed=config.seed, packages=packages)
    name = config.data
    if re.fullmatch(r"Nano[A-Z]\w+", name):  # NanoNQ, and not nanobots or owner/NanoNQ
        name = f"{NANO_BEIR}/{name}"
    collection, faults = read(name)
    raise_errors([replace(fault, where=f"guard.data: {fault.where}") for fault in faults])
    return collection
