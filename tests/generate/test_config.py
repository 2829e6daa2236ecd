"""Every setting of generation has its help text; what cannot be is refused."""

import pytest
from pydantic import ValidationError

from whet.generate.config import GenerateConfig
from whet.generate.positives import SOURCES


def test_every_setting_says_what_it_is():
    for name, field in GenerateConfig.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    "setting",
    [
        {"tries": 0},
        {"concurrency": 0},
        {"reply_tokens": 8},
        {"per_passage": 21},
        {"styles": []},
        {"searches": ["google"]},
        {"backoff": 0.5},  # the openai client's own
    ],
)
def test_settings_out_of_range_and_unknown_ones_are_refused(setting):
    with pytest.raises(ValidationError):
        GenerateConfig(**setting)


def test_all_sources_are_used_by_default():
    assert GenerateConfig().sources == SOURCES
