"""Visitors who come back: cookies that hold, and all that do not; names that a proxy says; the teacher's code."""

import hashlib
import hmac
import os
import re
import stat
import sys
import threading
import zipfile
from contextlib import closing

import pytest

from core.actors import Actor
from core.runs import RunStore
from core.runs.backup import back_up
from core.settings import FEWEST_SIGNS
from core.visitors import (
    KEY_BYTES,
    KEY_FILE,
    MOST_WRONG,
    MOST_WRONG_OF_ALL,
    OLD_COOKIE,
    SECONDS_OF_WRONG,
    Attempts,
    cookie_name,
    cookie_of,
    known_as,
    new_visitor,
    read_cookie,
    signing_key,
)

KEY, OTHER_KEY, CODE = bytes(range(32)), bytes(range(1, 33)), "only the teacher knows"
ANN = Actor("0123456789abcdef" * 2, "visitor")


def test_a_cookie_holds_for_who_has_it():
    assert read_cookie(KEY, cookie_of(KEY, ANN)) == ANN
    teacher = Actor(ANN.key, "teacher")
    assert read_cookie(KEY, cookie_of(KEY, teacher, CODE), CODE) == teacher
    assert read_cookie(KEY, cookie_of(KEY, ANN, CODE), CODE) == ANN


def test_the_signature_is_hmac_sha256():
    """Worked out by hand, each part after its length in eight bytes."""
    parts = (b"visitor", ANN.key.encode(), b"")
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert cookie_of(KEY, ANN) == f"{ANN.key}.{hmac.digest(KEY, message, hashlib.sha256).hex()}"


def changed(text):
    """The cookie with each of its signs another one, and cut at each place."""
    for place in range(len(text)):
        yield text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1:]
        yield text[:place]


@pytest.mark.parametrize("text", [
    None, "", ".", "x", ANN.key, f"{ANN.key}.", f"{ANN.key}.{'0' * 64}", cookie_of(OTHER_KEY, ANN), cookie_of(KEY, ANN).upper(),
    cookie_of(KEY, ANN) + "\n", " " + cookie_of(KEY, ANN), cookie_of(KEY, ANN) * 2, "٣" * 32 + "." + "0" * 64, "\0" * 97,
    "9" * 100_000], ids=range(15))
def test_what_is_no_cookie_of_ours_is_nobody(text):
    assert read_cookie(KEY, text) is None and read_cookie(KEY, text, CODE) is None


def test_a_forged_or_cut_cookie_is_nobody():
    assert not [text for text in changed(cookie_of(KEY, ANN)) if read_cookie(KEY, text, CODE)]


def test_a_visitor_s_cookie_makes_no_teacher_nor_does_another_code():
    teacher = cookie_of(KEY, Actor(ANN.key, "teacher"), CODE)
    assert read_cookie(KEY, teacher, CODE + "!") is None, "the code was changed"
    assert read_cookie(KEY, teacher) is None, "there is no teacher any more"
    assert read_cookie(KEY, cookie_of(KEY, Actor(ANN.key, "teacher"), ""), CODE) is None


def test_whom_a_proxy_names_is_the_same_each_time_and_nobody_else():
    ann = known_as(KEY, "header", "ann")
    assert ann == known_as(KEY, "header", "ann") and ann.kind == "visitor" and "ann" not in ann.key
    others = [known_as(KEY, "header", "Ann"), known_as(KEY, "sign-in", "ann"), known_as(OTHER_KEY, "header", "ann"),
              known_as(KEY, "headera", "nn"), new_visitor(), new_visitor()]
    assert len({actor.key for actor in [ann, *others]}) == len(others) + 1


def test_the_signing_key_is_made_once_and_its_owner_s_alone(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(signing_key(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1 and len(found[0]) == KEY_BYTES
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_a_backup_takes_the_key_along(tmp_path):
    with closing(RunStore(tmp_path / "runs")):
        key = signing_key(tmp_path / "runs")
    back_up(tmp_path / "runs", tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(tmp_path / "again")
    assert signing_key(tmp_path / "again") == key


def test_a_folder_without_a_key_is_said(tmp_path):
    with pytest.raises(OSError):
        signing_key(tmp_path / "none")
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(OSError, match="delete it"):
        signing_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == b"short" and os.listdir(tmp_path) == [KEY_FILE]


def test_wrong_codes_are_slowed_down_and_right_ones_come_in():
    attempts = Attempts()
    assert attempts.right(CODE, CODE, "ann", 0.0) is True
    assert [attempts.right(f"{n}", CODE, "ann", float(n)) for n in range(MOST_WRONG)] == [False] * MOST_WRONG
    assert attempts.right(CODE, CODE, "ann", float(MOST_WRONG)) is None, "not even looked at"
    assert attempts.right(CODE, CODE, "the teacher", float(MOST_WRONG)) is True, "one pupil keeps nobody out"
    assert attempts.right(CODE, CODE, "ann", SECONDS_OF_WRONG - 0.1) is None
    assert attempts.right(CODE, CODE, "ann", SECONDS_OF_WRONG) is True
    assert attempts.right("", "", "ann", 1e6) is False, "where no code is set, nobody has it"
    assert attempts.right("日本語の合言葉です、長い", CODE, "ann", 1e6) is False


def test_a_new_visitor_for_each_guess_comes_to_an_end_too():
    attempts = Attempts()
    told = [attempts.right("a guess", CODE, f"visitor {n}", n / 1e4) for n in range(MOST_WRONG_OF_ALL + 50)]
    assert told == [False] * MOST_WRONG_OF_ALL + [None] * 50
    assert attempts.right(CODE, CODE, "ann", 1.0) is None and attempts.right(CODE, CODE, "ann", SECONDS_OF_WRONG + 1) is True
    seconds = 36 ** FEWEST_SIGNS / 2 / (MOST_WRONG_OF_ALL / SECONDS_OF_WRONG)  # for half of the codes of small letters, digits
    assert seconds > 1e9 * 365 * 24 * 3600, "a billion years"


def test_servers_on_one_host_have_cookies_of_their_own():
    names = {cookie_name(bytes([n]) * 32) for n in range(50)}
    assert len(names) == 50 and all(re.fullmatch(OLD_COOKIE + "_[0-9a-f]{6}", name) for name in names)
    assert cookie_name(b"\1" * 32) == cookie_name(b"\1" * 32)
