"""Errors name every fault, carry their exit code, and say what to install."""

import pytest

from whet.errors import (
    MAX_FAULTS_IN_MESSAGE,
    ArtifactError,
    ConfigError,
    DataError,
    Fault,
    MissingExtra,
    WhetError,
    raise_errors,
    require,
)

WARNING = Fault("small-dev", "data", "10 dev queries", "Judge more queries.", "warning")
ERROR = Fault("bad-json", "pairs.jsonl:3", "not valid JSON", "Write one object a line.")


def test_exit_codes_tell_the_users_mistakes_from_the_others():
    errors = (DataError, ConfigError, MissingExtra, ArtifactError, WhetError)
    assert [error.exit_code for error in errors] == [2, 2, 2, 1, 1]


def test_warnings_alone_raise_nothing_and_come_with_errors():
    raise_errors([WARNING])
    with pytest.raises(DataError) as caught:
        raise_errors([WARNING, ERROR])
    assert caught.value.faults == (WARNING, ERROR)
    assert str(caught.value).splitlines() == [
        "2 fault(s) in the data",
        "data: 10 dev queries [small-dev] Cure: Judge more queries.",
        "pairs.jsonl:3: not valid JSON [bad-json] Cure: Write one object a line.",
    ]


def test_a_long_message_counts_what_it_leaves_out():
    error = DataError([ERROR] * (MAX_FAULTS_IN_MESSAGE + 3))
    assert str(error).splitlines()[-1] == "… and 3 more"
    assert len(error.faults) == MAX_FAULTS_IN_MESSAGE + 3


def test_a_missing_extra_is_its_install_line():
    with pytest.raises(MissingExtra, match=r"run: pip install 'whet\[faiss\]'"):
        require("no_module_of_this_name", extra="faiss")
