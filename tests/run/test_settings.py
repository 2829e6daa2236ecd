"""What a run was made from: recorded, read back, and refused in folders of something else."""

import pytest

from tiny import RECIPE
from whet.errors import ConfigError
from whet.files import write_json
from whet.records import Collection
from whet.run.recipe import derive
from whet.run.settings import (
    RECIPE_FILE,
    RunSettings,
    check_place,
    full_name,
    is_run,
    is_run_of,
    read_settings,
    record_settings,
)
from whet.stage_folder import locked

RECORDED = derive(Collection("empty", {}, {}, {}), "standard", RECIPE)


@pytest.fixture
def settings(tmp_path):
    return RunSettings(
        data=str(tmp_path / "data"),
        model="some/model",
        force=True,
        labels=None,
        test_queries=None,
        overrides=RECIPE,
        effort="standard",
    )


def test_settings_are_read_back_as_recorded(settings, tmp_path):
    record_settings(tmp_path, settings, RECORDED)
    assert is_run(tmp_path)
    assert is_run_of(tmp_path, settings.data)
    assert not is_run_of(tmp_path, "other")
    assert read_settings(tmp_path) == settings


def test_the_same_settings_are_not_written_again(settings, tmp_path):
    record_settings(tmp_path, settings, RECORDED)
    before = (tmp_path / RECIPE_FILE).stat().st_mtime_ns
    record_settings(tmp_path, settings, RECORDED)
    assert (tmp_path / RECIPE_FILE).stat().st_mtime_ns == before


def test_settings_of_an_earlier_version_are_read(settings, tmp_path):
    record = settings.to_json(RECORDED)
    del record["labels"], record["test_queries"]
    write_json(tmp_path / RECIPE_FILE, record)
    assert read_settings(tmp_path) == settings


def test_labels_and_paraphrases_are_added(settings, tmp_path):
    marked = settings.with_labels(tmp_path / "marks.csv")
    assert marked.labels == str((tmp_path / "marks.csv").resolve())
    assert settings.with_labels(None) == settings
    assert settings.with_paraphrases(3).overrides["generate"]["paraphrases"] == 3
    five = settings.with_paraphrases(5)
    assert five.with_paraphrases(3).overrides["generate"]["paraphrases"] == 5


def test_a_folder_without_a_recipe_is_no_run(tmp_path):
    write_json(tmp_path / RECIPE_FILE, {"some": "recipe"})
    assert not is_run(tmp_path)
    with pytest.raises(ConfigError, match=r"is not a run of whet.*whet tune DATA --out"):
        read_settings(tmp_path)


def test_places_of_something_else_are_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(ConfigError, match="is the data itself"):
        check_place(data, str(data))
    (data / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ConfigError, match="is not empty and not a run of whet"):
        check_place(data, None)


@pytest.mark.parametrize("name", ["vectors", "queries.partial", "replies.sqlite-wal"])
def test_a_run_that_was_stopped_before_its_recipe_continues(tmp_path, name):
    (tmp_path / name).write_text("")
    check_place(tmp_path, None)
    with locked(tmp_path):
        check_place(tmp_path, None)


def test_names_are_full_paths_or_hub_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert full_name("data") == str(tmp_path / "data")
    assert full_name("hub/data") == "hub/data"
