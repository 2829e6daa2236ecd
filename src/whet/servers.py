"""Addresses of servers, as recipes name them; they are written down in runs, so no key may stand in them."""

from urllib.parse import SplitResult, urlsplit

from whet.errors import ConfigError


def check_address(model: str, url: str, variable: str) -> SplitResult:
    """The parts of an address; raises ConfigError when it may hold a key, which `variable` of the environment is for.

    >>> check_address("gpt", "http://localhost:8000/v1", "VLLM_API_KEY").hostname
    'localhost'
    """
    where = urlsplit(url)
    if where.password or where.username or where.query:
        raise ConfigError(f"keep the key out of the address of {model}; set {variable} instead")
    return where
