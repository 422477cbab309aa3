"""Visitors who come back: a random key in a cookie that this server has signed, or a name that a proxy or sign-in vouches for.

The signing key is a file in the runs folder, which only its owner may read; without it nobody can make a cookie that holds.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections import deque
from pathlib import Path
from threading import Lock

from core.actors import Actor

KEY_FILE = ".visitor_key"
KEY_BYTES = 32
COOKIE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")
# wrong codes of one visitor, and of all together: more are not looked at until that time is over
MOST_WRONG, MOST_WRONG_OF_ALL, SECONDS_OF_WRONG = 10, 1000, 60.0
OLD_COOKIE = "torch_playground_visitor"  # what it was called up to version 0.11, whichever server had written it


def signing_key(folder: Path) -> bytes:
    """The key in the runs folder, made where there is none. Raises OSError where it can be neither read nor made."""
    path = folder / KEY_FILE
    for _ in range(50):
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            found = _make(path)
        if len(found) == KEY_BYTES:
            return found
        time.sleep(0.02)  # another server on this folder is writing it just now
    raise OSError(f"{path} holds no key; delete it, and visitors will be new ones")


def _make(path: Path) -> bytes:
    """b"" where somebody else has just made it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # never readable by others, not for a moment
    except FileExistsError:
        return b""
    with os.fdopen(descriptor, "wb") as file:
        file.write(made := secrets.token_bytes(KEY_BYTES))
    return made


def new_visitor() -> Actor:
    return Actor(secrets.token_hex(16), "visitor")


def known_as(key: bytes, source: str, name: str) -> Actor:
    """The visitor whom a proxy or a sign-in calls `name`: the same each time, and not to be guessed without the signing key."""
    return Actor(_mac(key, "name", source, name)[:32], "visitor")


def cookie_name(key: bytes) -> str:
    """What this server's cookie is called. Browsers share cookies between the ports of a host: another server there has another
    key, and so another name."""
    return f"{OLD_COOKIE}_{_mac(key, 'cookie')[:6]}"


def cookie_of(key: bytes, actor: Actor, teacher: str = "") -> str:
    """What the browser is to keep. teacher: the secret code, which makes a teacher's cookie void when it is changed."""
    return f"{actor.key}.{_mac(key, actor.kind, actor.key, teacher if actor.kind == 'teacher' else '')}"


def read_cookie(key: bytes, text: str | None, teacher: str = "") -> Actor | None:
    """Who brings a cookie; None for one that is missing, cut or changed, or that another server has signed."""
    found = COOKIE.fullmatch(text or "")
    if found is None:
        return None
    actors = [Actor(found[1], "visitor"), *([Actor(found[1], "teacher")] if teacher else [])]
    return next((actor for actor in actors if hmac.compare_digest(cookie_of(key, actor, teacher), found[0])), None)


def _mac(key: bytes, *parts: str) -> str:
    """64 hex digits. The parts are kept apart by their lengths, so that no two lists of them give the same message."""
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    return hmac.new(key, message, hashlib.sha256).hexdigest()


class Attempts:
    """Counts wrong codes: of each visitor, so that nobody is kept out by what others type, and of all together, since a new
    visitor costs nothing. At the most of all, half a billion a year, a code of twelve letters and digits is hopeless to guess."""

    def __init__(self) -> None:
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_WRONG_OF_ALL)
        self._one_at_a_time = Lock()

    def right(self, typed: str, code: str, who: str, now: float | None = None) -> bool | None:
        """Whether it is the code; None where too many were wrong lately, and it was not looked at. who: a visitor's key. now:
        seconds, of a clock that never goes back."""
        now = time.monotonic() if now is None else now
        with self._one_at_a_time:
            lately = [one for when, one in self._wrong if now - when < SECONDS_OF_WRONG]
            if lately.count(who) >= MOST_WRONG or len(lately) >= MOST_WRONG_OF_ALL:
                return None
            if code and hmac.compare_digest(typed.encode(), code.encode()):
                return True
            self._wrong.append((now, who))
            return False
