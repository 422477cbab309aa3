"""Who is asking, on a server that many use: whom a sign-in or a proxy names, or whoever has this browser's signed cookie."""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import streamlit as st

from core.actors import LOCAL, Actor
from core.errors import reason
from core.fields import ConfigError
from core.settings import Settings
from core.visitors import KEY_BYTES, OLD_COOKIE, Attempts, cookie_name, cookie_of, known_as, new_visitor, read_cookie, signing_key
from pages.parts.shell import keys, lesson
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import tell
from pages.parts.shell.sign_in import account, lead_back, signed_in

_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.visitor", js=(Path(__file__).parent / "visitor.js").read_text(encoding="utf-8"))


def arrive() -> None:
    """Know who is asking, at the beginning of each page; on a server of one person that is whoever has this session."""
    settings = _hosted()
    if settings is None:
        st.session_state.setdefault(keys.OWNER, uuid4().hex)
        return
    st.session_state[keys.OWNER] = asking(settings).key
    if keys.COOKIE in st.session_state:  # in this session each time: what is below stays in its place
        with st.container(key="visitor.cookie"):
            _component(key="visitor.keep", data={"name": cookie_name(_signing_key(str(settings.runs_dir))),
                                                 "value": st.session_state[keys.COOKIE]})
    lead_back()


def asking(settings: Settings) -> Actor:
    """Who is asking. The page ends here, with a line, for whoever has to come in by another door."""
    known: Actor | None = st.session_state.get(keys.ACTOR) if settings.hosted else LOCAL
    if known is None:
        known = st.session_state[keys.ACTOR] = _recognised(settings)
    limits = settings.limits if known.kind == "visitor" else known.limits
    return replace(known, limits=limits, lesson=now.code if (now := lesson.taken()) else "")


def _recognised(settings: Settings) -> Actor:
    key = _signing_key(str(settings.runs_dir))
    if settings.user_header:
        name = st.context.headers.get(settings.user_header)
        if not name:
            st.error("This server is reached through its sign-in page only. Open the address that you were given.",
                     icon=":material/lock:")
            st.stop()
        return _or_teacher(settings, known_as(key, "header", name))
    if (name := signed_in()) is not None:
        return _or_teacher(settings, known_as(key, "sign-in", name))
    found = _by_cookie(settings) or new_visitor()
    st.session_state[keys.COOKIE] = cookie_of(key, found, settings.teacher)  # written anew: browsers forget what is old
    return found


def _by_cookie(settings: Settings) -> Actor | None:
    """Who brings this server's cookie, or the one of an earlier version."""
    key, brought = _signing_key(str(settings.runs_dir)), st.context.cookies
    return (read_cookie(key, brought.get(cookie_name(key)), settings.teacher)
            or read_cookie(key, brought.get(OLD_COOKIE), settings.teacher))


def _or_teacher(settings: Settings, actor: Actor) -> Actor:
    """A visitor who is known otherwise, as the teacher where the cookie says that they have given the code."""
    said = _by_cookie(settings)
    if said is None or said != Actor(actor.key, "teacher"):
        return actor
    st.session_state[keys.COOKIE] = cookie_of(_signing_key(str(settings.runs_dir)), said, settings.teacher)
    return said


def doors() -> None:
    """Below the menu: the way out for who has signed in, and where the teacher gives the code. Nothing where there are none."""
    settings = _hosted()
    if settings is None:
        return
    account()
    if settings.teacher:
        _teacher_door(settings)


def _teacher_door(settings: Settings) -> None:
    actor = asking(settings)
    if actor.kind == "teacher":
        st.caption("You are the teacher: you see everybody's runs, and can stop and change them.")
        st.button("Leave the teacher's seat", icon=":material/logout:", key="visitor.leave", type="tertiary",
                  on_click=_become, args=(settings, Actor(actor.key, "visitor"), "You are a visitor again."))
        return
    with st.popover("Teacher", icon=":material/school:", type="tertiary", key="visitor.teacher"), st.form(
            "visitor.form", border=False, clear_on_submit=True):
        typed = st.text_input("The teacher's code", type="password", key="visitor.code", max_chars=200)
        if st.form_submit_button("Come in", key="visitor.come_in"):
            right = _attempts().right(typed.strip(), settings.teacher.strip(), actor.key)
            if right:
                _become(settings, Actor(actor.key, "teacher"), "You are the teacher now.")
                st.rerun()
            st.error("Too many wrong codes in a minute. Wait a minute, then try again." if right is None else
                     "That is not the code.", icon=":material/block:")


def _become(settings: Settings, actor: Actor, line: str) -> None:
    st.session_state[keys.ACTOR] = actor
    st.session_state[keys.COOKIE] = cookie_of(_signing_key(str(settings.runs_dir)), actor, settings.teacher)
    tell(line, ":material/school:")


@st.cache_resource(show_spinner=False)
def _attempts() -> Attempts:
    return Attempts()


@st.cache_resource(show_spinner=False)
def _signing_key(runs_dir: str) -> bytes:
    """Without a runs folder that can be written to, one that lasts as long as the server."""
    try:
        Path(runs_dir).mkdir(parents=True, exist_ok=True)
        return signing_key(Path(runs_dir))
    except OSError as error:
        st.warning(f"Visitors are not known again when this server starts anew: {as_text(reason(error))}.")
        return secrets.token_bytes(KEY_BYTES)


def _hosted() -> Settings | None:
    """The settings of a server that many use; None on any other. What is wrong with them, services() says."""
    if os.environ.get("PLAYGROUND_MODE") != "hosted":  # the rest is not read at each turn for nothing
        return None
    try:
        settings = Settings.from_environment()
    except ConfigError:
        return None
    return settings
