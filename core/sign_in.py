"""Whether a sign-in provider (OpenID Connect) is there, asked before a browser is sent to it."""

import queue
import threading
from typing import Any

SECONDS = 3.0  # that somebody waits at the door at most
ENDPOINTS = ("authorization_endpoint", "token_endpoint")  # what a sign-in needs of a provider's metadata
LATER = 429, 500  # "too many requests", and all from here on: it may answer in a minute


class ProviderSilent(Exception):
    """It does not answer now, but may do so in a minute; the message says how, in a few words."""


class ProviderWrong(Exception):
    """What answers is no provider, so that its address or its setup is wrong; the message says how, in a few words."""


def check_provider(address: str, verify: Any = True, seconds: float = SECONDS) -> None:
    """Ask for a provider's metadata. It is asked in a thread of its own: a name that nobody resolves would take longer.

    address: `server_metadata_url` of secrets.toml. verify: as httpx takes it. Raises ProviderSilent, also after so many seconds,
    and ProviderWrong.
    """
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_trouble(address, verify, seconds)), daemon=True).start()
    try:
        trouble = answers.get(timeout=seconds)
    except queue.Empty:
        trouble = _too_late(seconds)
    if trouble is not None:
        raise trouble


def _trouble(address: str, verify: Any, seconds: float) -> Exception | None:
    import httpx  # requirements-signin.txt: what authlib asks with, so that certificates and proxies are the same

    try:
        answer = httpx.get(address, verify=verify, timeout=seconds)
    except httpx.TimeoutException:
        return _too_late(seconds)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        return ProviderWrong("this is no web address")
    except (httpx.HTTPError, OSError):  # OSError: a file of certificates that is not there
        return ProviderSilent("it can't be reached")
    status = answer.status_code
    if status == LATER[0] or status >= LATER[1]:
        return ProviderSilent(f"it answers with the error {status}")
    if not answer.is_success:
        return ProviderWrong(f"it answers with the status {status}")
    try:
        found = answer.json()
    except ValueError:
        return ProviderWrong("its answer is no JSON")
    missing = [name for name in ENDPOINTS if not isinstance(found, dict) or not isinstance(found.get(name), str)]
    return ProviderWrong(f"it names no {missing[0]}") if missing else None


def _too_late(seconds: float) -> ProviderSilent:
    return ProviderSilent(f"it does not answer within {seconds:g} s")
