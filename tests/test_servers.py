"""Addresses are split into parts; an address that may hold a key is refused."""

import pytest

from whet.errors import ConfigError
from whet.servers import check_address


def test_an_address_is_split():
    parts = check_address("gpt", "https://host.example:8443/v1", "KEY")
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == (
        "https",
        "host.example",
        8443,
        "/v1",
    )


@pytest.mark.parametrize(
    "url", ["http://me:pw@host/v1", "http://key@host/v1", "http://host/v1?key=sk-secret"]
)
def test_an_address_with_a_key_is_refused_and_not_repeated(url):
    with pytest.raises(
        ConfigError, match="keep the key out of the address of gpt; set KEY"
    ) as error:
        check_address("gpt", url, "KEY")
    assert url not in str(error.value)
