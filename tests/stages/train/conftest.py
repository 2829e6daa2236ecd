"""Runs on tiny data, built up to what training needs."""

from dataclasses import replace

import pytest

from tiny import RECIPE, tiny_collection
from whet.pipeline import build
from whet.run.opening import open_run
from whet.stages.train.attempt import StageFolders

INTERPOLATED = RECIPE | {"guard": {"data": "none", "interpolate": True, "shares": [0.5, 1.0]}}


def sources_of(run):
    return StageFolders(*(run.path / name for name in ("mine", "generate", "teach")))


def with_overrides(run, **parts):
    """The same run with other settings, part by part."""
    overrides = dict(run.settings.overrides)
    for name, values in parts.items():
        overrides[name] = overrides.get(name, {}) | values if isinstance(values, dict) else values
    return replace(run, settings=replace(run.settings, overrides=overrides))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """BEIR folder whose training queries are too few for a dev split."""
    return tiny_collection(tmp_path_factory.mktemp("small") / "small", size=90)


@pytest.fixture(scope="session")
def folded(small_data, tiny_model, tmp_path_factory):
    """A run without a dev split, up to what training needs."""
    path = tmp_path_factory.mktemp("folded") / "run"
    return build(open_run(small_data, str(tiny_model), path, overrides=INTERPOLATED), "teach")


@pytest.fixture(scope="session")
def with_dev(tiny_data, tiny_model, tmp_path_factory):
    """A run with a dev split, up to what training needs."""
    path = tmp_path_factory.mktemp("with-dev") / "run"
    return build(open_run(tiny_data, str(tiny_model), path, overrides=INTERPOLATED), "teach")


@pytest.fixture
def sources():
    return sources_of


@pytest.fixture
def changed():
    return with_overrides
