"""Addresses of servers, as recipes name them. Runs keep them, so they must not hold a key."""

from urllib.parse import SplitResult, urlsplit

from whet.errors import ConfigError


def check_address(model: str, url: str, variable: str) -> SplitResult:
    """Split an address into its parts.

    Raises ConfigError where it may hold a key. The environment variable `variable` is for that.

    >>> check_address("gpt", "http://localhost:8000/v1", "VLLM_API_KEY").hostname
    'localhost'
    """
    parts = urlsplit(url)
    if parts.password or parts.username or parts.query:
        raise ConfigError(f"keep the key out of the address of {model}; set {variable} instead")
    return parts
