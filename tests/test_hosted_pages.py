"""Pages on a server that many use: who is asking, what they see of others' runs, and the teacher."""

import ast
import os
from pathlib import Path

import pytest
import streamlit as st
from streamlit.errors import StreamlitAuthError
from streamlit.testing.v1 import AppTest

from core.actors import LOCAL, NOT_YOURS, Actor
from core.config import read_config
from core.data.own.sets import save_set
from core.lessons import Lesson, Step, keep_lesson
from core.presets import PRESETS
from core.runs import RunStore, StoreError
from core.sign_in import ProviderSilent, ProviderWrong
from core.visitors import KEY_FILE, MOST_WRONG, OLD_COOKIE, cookie_name, cookie_of, signing_key
from pages.parts.shell import keys
from pages.parts.shell.sign_in import NEEDED
from pages.parts.shell.visitor import _attempts
from tests.helpers import tiny
from tests.test_pages import ROOT, assert_whole, click, page, runs, texts  # noqa: F401 (fixtures)
from tests.test_rights import ANN, IMAGES

CODE = "only the teacher knows"


@pytest.fixture
def hosted(runs, monkeypatch) -> RunStore:  # noqa: F811
    monkeypatch.setenv("PLAYGROUND_MODE", "hosted")
    monkeypatch.setenv("PLAYGROUND_TEACHER", CODE)
    st.cache_resource.clear()
    yield runs
    st.cache_resource.clear()


def brings(monkeypatch, cookie=None, called="", **headers):
    """What the browser and what is in front of the server send. called: the cookie, where the server's has another name."""
    monkeypatch.setattr(type(st.context), "cookies", property(lambda context: {
        called or cookie_name(signing_key(Path(os.environ["PLAYGROUND_RUNS"]))): cookie} if cookie else {}))
    monkeypatch.setattr(type(st.context), "headers", property(lambda context: headers))


def came_back(monkeypatch, cookie):
    """Who a browser with this cookie is."""
    brings(monkeypatch, cookie)
    at = page("pages/compare_runs.py")
    assert_whole(at)
    return at.session_state[keys.OWNER], at


def test_a_browser_is_known_again_and_a_forged_cookie_is_somebody_new(hosted, monkeypatch):
    first, at = came_back(monkeypatch, None)
    cookie = at.session_state[keys.COOKIE]
    assert cookie == cookie_of(signing_key(hosted.path), Actor(first, "visitor"))
    hosted.create(tiny(), first, "Mine")
    st.cache_resource.clear()  # as when the server starts anew
    again, at = came_back(monkeypatch, cookie)
    assert again == first and "1 run" in texts(at)
    assert at.session_state[keys.COOKIE] == cookie, "written anew, so that the browser does not forget it"
    brings(monkeypatch, cookie, OLD_COOKIE)
    assert page().session_state[keys.OWNER] == first, "of an earlier version"
    brings(monkeypatch, cookie, cookie_name(b"another server's on this host"))
    assert page().session_state[keys.OWNER] != first
    for forged in (cookie[:-1], f"{first}.{'0' * 64}", cookie_of(b"another server's key", Actor(first, "visitor")), "x"):
        other, at = came_back(monkeypatch, forged)
        assert other != first and "There are no runs yet" in texts(at), forged
    assert first not in texts(at)


def test_on_a_server_of_one_person_there_is_no_cookie(runs):  # noqa: F811
    at = page()
    assert keys.COOKIE not in at.session_state and keys.ACTOR not in at.session_state
    assert not (runs.path / KEY_FILE).exists() and not [one for one in at.text_input if one.key == "visitor.code"]


def test_whom_a_proxy_names(hosted, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_USER_HEADER", "X-Forwarded-User")
    brings(monkeypatch)
    at = page()
    assert [one.value.startswith("This server is reached through its sign-in page") for one in at.error] == [True]
    assert not at.title, "the page ends there"
    owners = []
    for name in ("ann", "ann", "ben"):
        brings(monkeypatch, **{"X-Forwarded-User": name})
        at = page()
        assert keys.COOKIE not in at.session_state and not at.error
        owners.append(at.session_state[keys.OWNER])
    assert owners[0] == owners[1] != owners[2] and "ann" not in owners[0]


def signs_in(monkeypatch, auth=None, **user):
    """What Streamlit knows of a sign-in: the [auth] of secrets.toml, and who has signed in."""
    monkeypatch.setattr(st, "user", user)
    monkeypatch.setattr(st, "secrets", {"auth": {} if auth is None else auth})


def test_whom_a_sign_in_names(hosted, monkeypatch):
    brings(monkeypatch)
    owners = []
    for issuer, subject in (("school", "1"), ("school", "1"), ("school", "2"), ("club", "1"), ("school 1", "")):
        signs_in(monkeypatch, is_logged_in=True, iss=issuer, sub=subject, name="**Ann** ![x](http://example.org/x)")
        at = page()
        if subject:
            owners.append(at.session_state[keys.OWNER])
            assert r"Signed in as \*\*Ann\*\*" in texts(at) and at.button(key="sign_in.out").label == "Sign out"
            assert keys.COOKIE not in at.session_state
        else:
            assert [one.value.partition(".")[0] for one in at.error] == ["The sign-in does not say who you are"] and not at.title
    assert owners[0] == owners[1] and len(set(owners)) == 3


@pytest.mark.parametrize(("auth", "labels"), [
    ({"client_id": "x", "redirect_uri": "y"}, ["Sign in"]),
    ({"school": {"client_id": "x"}, "club": {"client_id": "x"}, "other": {"scope": "x"}},
     ["Sign in with School", "Sign in with Club"]),
    ({"redirect_uri": "y"}, []),
])
def test_the_door_before_the_sign_in(hosted, monkeypatch, auth, labels):
    brings(monkeypatch)
    signs_in(monkeypatch, auth, is_logged_in=False)
    at = page("pages/train_model.py", "f" * 32)
    assert [button.label for button in at.button] == labels and [title.value for title in at.title] == ["Torch Playground"]
    assert [one.value.partition(".")[0] for one in at.error] == ([] if labels else ["This server's sign-in names no provider"])


@pytest.mark.parametrize(("trouble", "said"), [
    (ProviderSilent("it can't be reached"), r"The sign-in with \*school is not there just now: it can't be reached. Try again"),
    (ProviderWrong("its answer is no JSON"), r"The sign-in with \*school is not set up right: of its `server_metadata_url`, its"),
    (StreamlitAuthError("cookie_secret of /etc/x"), r"The sign-in with \*school is not set up right: its section of"),
    (None, "")])
def test_a_provider_that_is_not_there_is_said_at_the_door(hosted, monkeypatch, trouble, said):
    brings(monkeypatch)
    signs_in(monkeypatch, {"*school": {"client_id": "x", "server_metadata_url": "https://a.example/x"}}, is_logged_in=False)
    asked, sent = [], []

    def raises(where, is_it):
        asked.append(where)
        if trouble is not None and isinstance(trouble, StreamlitAuthError) == is_it:
            raise trouble

    monkeypatch.setattr("pages.parts.shell.sign_in.check_provider", lambda address, verify: raises(address, False))
    monkeypatch.setattr(st, "login", lambda provider: (raises(provider, True), sent.append(provider)))
    at = click(page(), "sign_in.*school")
    assert asked[0] == "https://a.example/x" and sent == ([] if trouble else ["*school"])
    assert [one.value.startswith(said) for one in at.error] == [True] * (trouble is not None)
    assert not at.exception and "/etc/x" not in texts(at) and [one.key for one in at.button] == ["sign_in.*school"]


def test_a_sign_in_whose_package_is_missing(hosted, monkeypatch):
    brings(monkeypatch)
    signs_in(monkeypatch, {"client_id": "x"}, is_logged_in=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    at = page()
    assert not at.button and [one.value for one in at.error] == [
        f"Visitors of this server sign in, and what that needs is not installed. Whoever runs it: `{NEEDED}`."]


def pupil_of(monkeypatch, code):
    """A lesson's page Train model, as somebody new opens it."""
    brings(monkeypatch)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["lesson"] = code
    at.run()
    assert_whole(at)
    return at


def test_pupils_begin_with_seeds_of_their_own_or_share_a_run(hosted, monkeypatch):
    own, shared = (keep_lesson(Lesson(steps=(Step(page="train_model"),), seeds=seeds), hosted.path, Actor("c" * 32, "teacher"))
                   for seeds in ("own", "shared"))
    seeds = [read_config(pupil_of(monkeypatch, own).session_state[keys.DRAFT]).training.seed for _ in range(2)]
    assert 0 not in seeds and seeds[0] != seeds[1]
    opened = []
    for _ in range(2):
        at = click(pupil_of(monkeypatch, shared), "train.start")
        assert_whole(at)
        opened.append(at.session_state[keys.RUN])
    assert opened[0] == opened[1] and not at.error and "exactly these settings" in at.toast[0].value
    assert [run.id for run in hosted.lesson_runs(shared)] == opened[:1]
    assert hosted.sharers(shared) == {opened[0]: [at.session_state[keys.OWNER]]}


def test_what_a_lesson_makes_of_a_preset_is_still_called_so(hosted, monkeypatch):
    about = Lesson(steps=(Step(page="train_model"),), preset="digits-quick", fixed={"training.epochs": 2})
    at = pupil_of(monkeypatch, keep_lesson(about, hosted.path, LOCAL))

    def start_from():
        return next(box for box in at.selectbox if box.label == "Start from")

    assert at.session_state[keys.DRAFT]["training"]["seed"] != 0, "a seed of their own"
    assert start_from().value == "digits-quick" and "My own settings" not in start_from().options
    next(number for number in at.number_input if number.label.startswith("Learning rate")).set_value(0.5).run()
    assert start_from().value == ""
    bare = about.model_copy(update={"sections": {"train_model": ()}})
    assert f"Settings: {PRESETS['digits-quick'].title}" in texts(pupil_of(monkeypatch, keep_lesson(bare, hosted.path, LOCAL)))


def test_home_says_whose_runs_one_can_go_on_with(hosted, monkeypatch):
    brings(monkeypatch)
    own = came_back(monkeypatch, None)[1]
    me, cookie = own.session_state[keys.OWNER], own.session_state[keys.COOKIE]
    others, mine = hosted.create(tiny(), ANN.key, "Ann's own"), hosted.create(tiny(), me, "Mine")
    brings(monkeypatch, cookie)
    for run, heading in ((None, "Go on where you were"), (mine, "Go on where you were"), (others, "Recent runs")):
        assert heading in [one.value for one in page("app.py", run).header]


@pytest.mark.parametrize("path", ["app.py", "pages/train_model.py", "pages/compare_runs.py"])
def test_another_s_run_can_be_looked_at_and_its_settings_used(hosted, monkeypatch, path):
    brings(monkeypatch)
    run = hosted.create(tiny(), ANN.key, "Ann's own")
    listed = page(path)
    assert_whole(listed)
    assert "Ann's own" not in texts(listed) + repr([one.options for one in listed.selectbox])
    at = page(path, run)
    assert_whole(at)
    assert "Ann's own" in texts(at) and ANN.key not in texts(at)
    offered = {button.key for button in at.button}
    assert not offered & {"run.stop", "run.pause", "run.step", "run.use_rate", "run.continue", "home.go_on", "compare.keep"}
    if path != "pages/compare_runs.py":
        assert NOT_YOURS in texts(at)
    use = "compare.settings" if path == "pages/compare_runs.py" else "run.use_settings"
    assert_whole(click(at, use))


def test_another_s_run_in_the_plane(hosted, monkeypatch):
    brings(monkeypatch)
    at = page("pages/learn_decision_boundary.py")
    at = click(at, "plane.start")
    assert {"plane.stop"} <= {button.key for button in at.button}
    mine = hosted.runs()[0]
    other = hosted.create(mine.config, ANN.key, "Ann's")
    at = page("pages/learn_decision_boundary.py", other)
    assert_whole(at)
    assert NOT_YOURS in texts(at) and not {"plane.stop", "plane.pause"} & {button.key for button in at.button}
    assert hosted.get(other).pace == 0


def test_settings_with_another_s_data_fall_back(hosted, monkeypatch, places):
    brings(monkeypatch)
    own = save_set(places / "data", "Ann's cats", ["cat", "dog"], *IMAGES, actor=ANN)
    config = tiny(data__dataset=own.name, data__validation=1)
    run = hosted.create(config, ANN.key, "Ann's own")
    at = click(page("pages/compare_runs.py", run), "compare.settings")
    assert_whole(at)
    assert at.session_state[keys.DRAFT]["data"]["dataset"] == "digits"
    assert any("belong to somebody else" in one.value for one in at.toast)
    for path in ("pages/explore_data.py", "pages/build_model.py"):
        at = page(path)
        assert_whole(at)
        assert "Ann's cats" not in texts(at) + repr([one.options for one in at.selectbox])


def test_the_teacher_comes_in_with_the_code(hosted, monkeypatch):
    brings(monkeypatch)
    run = hosted.create(tiny(), ANN.key, "Ann's own")
    at = page("pages/train_model.py", run)
    assert "run.stop" not in {button.key for button in at.button}
    at.text_input(key="visitor.code").set_value("let me in, please")
    at = click(at, "visitor.come_in")
    assert [one.value for one in at.error] == ["That is not the code."] and at.session_state[keys.ACTOR].kind == "visitor"
    at.text_input(key="visitor.code").set_value(CODE)
    at = click(at, "visitor.come_in")
    assert_whole(at)
    assert at.session_state[keys.ACTOR].kind == "teacher" and CODE not in texts(at)
    at = click(at, "run.stop")
    assert hosted.get(run).message == "Stopped before it started by the teacher." in [one.value for one in at.info]
    cookie = at.session_state[keys.COOKIE]
    _, at = came_back(monkeypatch, cookie)
    assert at.session_state[keys.ACTOR].kind == "teacher" and "1 run" in texts(at)
    monkeypatch.setenv("PLAYGROUND_TEACHER", CODE + " now")
    _, at = came_back(monkeypatch, cookie)
    assert at.session_state[keys.ACTOR].kind == "visitor"


def test_a_pupil_who_guesses_keeps_the_teacher_out_of_nothing(hosted, monkeypatch):
    brings(monkeypatch)
    pupil, teacher = page("pages/compare_runs.py"), page("pages/compare_runs.py")
    attempts = _attempts()
    for number in range(MOST_WRONG):
        assert attempts.right(f"{number}", CODE, pupil.session_state[keys.OWNER]) is False
    pupil.text_input(key="visitor.code").set_value(CODE)
    pupil = click(pupil, "visitor.come_in")
    assert [one.value for one in pupil.error] == ["Too many wrong codes in a minute. Wait a minute, then try again."]
    teacher.text_input(key="visitor.code").set_value(CODE)
    assert click(teacher, "visitor.come_in").session_state[keys.ACTOR].kind == "teacher"


def test_the_teacher_moves_a_run_to_the_front(hosted, monkeypatch):
    brings(monkeypatch, cookie_of(signing_key(hosted.path), Actor("c" * 32, "teacher"), CODE))
    first, later = hosted.create(tiny(), ANN.key, "First"), hosted.create(tiny(), ANN.key, "Later")
    in_turns = RunStore(hosted.path, in_turns=True)
    assert in_turns.queue_position(later) == 1
    at = click(page("pages/train_model.py", later), "run.next")
    assert_whole(at)
    assert (in_turns.queue_position(later), in_turns.queue_position(first)) == (0, 1)
    assert "run.next" not in {button.key for button in at.button}
    in_turns.close()


def test_the_teacher_sees_whose_a_run_is(hosted, monkeypatch):
    teacher = Actor("c" * 32, "teacher")
    one, other = hosted.as_actor(ANN).create(tiny(), ANN.key), hosted.as_actor(teacher).create(tiny(), teacher.key)
    brings(monkeypatch, cookie_of(signing_key(hosted.path), teacher, CODE))
    at = page("pages/compare_runs.py", one)
    assert_whole(at)
    assert list(at.dataframe[0].value["whose"]) == ["you", "visitor 1"] and "by visitor 1" in texts(at)
    assert "Whose" in at.multiselect(key="compare.columns").options and ANN.key not in texts(at)
    hosted.finish(other, "failed")
    gone = hosted.as_actor(ANN).create(tiny(), ANN.key)
    hosted.finish(gone, "failed")
    hosted.as_actor(teacher).discard([gone])
    brings(monkeypatch, cookie_of(signing_key(hosted.path), ANN))
    at = page("pages/compare_runs.py", one)
    assert_whole(at)
    assert at.button(key=f"compare.restore.{gone}").disabled and at.button(key="compare.restore_all").disabled
    assert "The teacher has deleted 1 run of yours; only a teacher can bring it back." in texts(at)
    assert "whose" not in at.dataframe[0].value and "by visitor" not in texts(at)
    assert "Whose" not in at.multiselect(key="compare.columns").options


def test_a_limit_is_said(hosted, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_LIMITS", "waiting=3")
    brings(monkeypatch)
    at = click(page("pages/train_model.py"), "train.start")
    assert not at.error and len(hosted.runs()) == 1
    at = click(at, "train.seeds.3")
    [error] = at.error
    assert error.value.startswith("You have 1 run waiting, and one person may have 3") and error.icon == ":material/block:"
    assert len(hosted.runs()) == 1 and "train.seeds.5" not in {button.key for button in at.button}, "they could never wait"


def test_what_a_visitor_s_runs_take(hosted, monkeypatch):
    """Neither what everybody's take together nor the server's budget, and not where its folder is."""
    brings(monkeypatch, cookie_of(signing_key(hosted.path), ANN))
    run = hosted.as_actor(ANN).create(tiny(), ANN.key)
    (hosted.folder(run)).mkdir(exist_ok=True)
    (hosted.folder(run) / "other").write_bytes(bytes(3_000_000))
    at = page("pages/compare_runs.py")
    at.session_state["runs.space"] = True
    assert_whole(at.run())
    assert "1 run of yours: 3.0 MB without its curves, of which moments to go back to are 0" in texts(at)
    assert not [word for word in ("budget", "PLAYGROUND_DISK") if word in texts(at)]

    def fails(store):
        raise StoreError(f"The runs folder {hosted.path} can't be used.")

    monkeypatch.setattr("pages.parts.runs.space.space_of", fails)
    at.run()
    assert [one.value for one in at.error] == ["What your runs take can't be read just now. Try again in a minute."]


def test_the_teacher_leaves_the_seat(hosted, monkeypatch):
    brings(monkeypatch, cookie_of(signing_key(hosted.path), Actor(ANN.key, "teacher"), CODE))
    at = click(page("pages/compare_runs.py"), "visitor.leave")
    assert at.session_state[keys.ACTOR] == ANN and at.session_state[keys.COOKIE] == cookie_of(signing_key(hosted.path), ANN)


ASKED_BY_NAME = {"own_sets", "available", "delete_imported", "delete_set", "keep", "as_set", "save_sheet", "save_set",
                 "import_csv", "own_texts", "delete_own", "others"}


def test_pages_say_who_asks_for_data():
    """Their functions allow everything where nobody is named, as the command line does."""
    found = 0
    for path in [ROOT / "app.py", *Path(ROOT / "pages").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        from_core = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "core.data" in str(node.module)
                     or isinstance(node, ast.ImportFrom) and "other_data" in str(node.module) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKED_BY_NAME & from_core:
                found += 1
                assert "actor" in ast.unparse(node), f"{path.name}, line {node.lineno}"
    assert found >= 15
