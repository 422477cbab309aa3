"""Signing in with a provider (OpenID Connect), on a server where Streamlit's own sign-in is set up: the door, and the way out."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitAuthError

from core.sign_in import ProviderSilent, ProviderWrong, check_provider
from pages.parts.shell.markdown import as_text

PACKAGES = "authlib", "httpx"
NEEDED = "pip install -r requirements-signin.txt"
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.way_back", js=(Path(__file__).parent / "sign_in.js").read_text(encoding="utf-8"))


def signed_in() -> str | None:
    """Who has signed in, in words that are the provider's alone and stay the same; None where no sign-in is set up. The page ends
    here, with a way to sign in, for whoever has not."""
    known = st.user.get("is_logged_in")  # None where none is set up
    if known is None:
        return None
    if not known:
        _door()
    issuer, subject = st.user.get("iss"), st.user.get("sub")
    if not issuer or not subject:
        st.error("The sign-in does not say who you are. Tell whoever runs this server: its provider must name an issuer and a "
                 "subject, as OpenID Connect asks for.", icon=":material/lock:")
        st.button("Sign out", key="sign_in.out", on_click=st.logout)
        st.stop()
    return f"{issuer} {subject}"


def account() -> None:
    """Who is signed in, and the way out, below the menu. Nothing where no sign-in is set up."""
    if not st.user.get("is_logged_in"):
        return
    name = st.user.get("name") or st.user.get("email")
    st.caption(f"Signed in as {as_text(str(name)[:60])}" if name else "You are signed in.")
    st.button("Sign out", icon=":material/logout:", key="sign_in.out", type="tertiary", on_click=st.logout)


def lead_back() -> None:
    """Open the address with which somebody came to the door: the provider brings everybody to Home."""
    if st.user.get("is_logged_in"):
        with st.container(key="sign_in.back"):
            _component(key="sign_in.lead_back", data={"keep": False})


def _door() -> None:
    st.title("Torch Playground")
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        st.error(f"Visitors of this server sign in, and what that needs is not installed. Whoever runs it: `{NEEDED}`.",
                 icon=":material/lock:")
        st.stop()
    st.markdown("Sign in, so that your runs are found again and stay yours.")
    providers = _providers()
    for provider in providers:
        label = "Sign in" if provider is None else f"Sign in with {as_text(provider.capitalize())}"
        if st.button(label, type="primary", icon=":material/login:", key=f"sign_in.{provider}"):
            _enter(provider)
    if not providers:
        st.error("This server's sign-in names no provider. Whoever runs it: see “Hosting” in the README.", icon=":material/lock:")
    with st.container(key="sign_in.back"):
        _component(key="sign_in.keep", data={"keep": True})
    st.stop()


def _enter(provider: str | None) -> None:
    """Send the browser to a provider that is there; of one that is not, Streamlit shows a bare “Authentication error”. Only the
    session that asks waits for its answer."""
    auth = st.secrets["auth"]
    section = auth if provider is None else auth[provider]
    name = "The sign-in" if provider is None else f"The sign-in with {as_text(provider.capitalize())}"
    whoever = "Whoever runs this server: see “Hosting” in the README."
    try:
        if address := section.get("server_metadata_url"):
            with st.spinner("Asking the sign-in…"):
                check_provider(str(address), section.get("client_kwargs", {}).get("verify", True))
        st.login(provider)  # which looks for what is missing in secrets.toml
    except ProviderSilent as error:
        st.error(f"{name} is not there just now: {error}. Try again in a minute; the address that you came with is opened then. "
                 "If it stays so, tell whoever runs this server.", icon=":material/cloud_off:")
    except ProviderWrong as error:
        st.error(f"{name} is not set up right: of its `server_metadata_url`, {error}. {whoever}", icon=":material/lock:")
    except StreamlitAuthError:
        st.error(f"{name} is not set up right: its section of `secrets.toml` lacks something. {whoever}", icon=":material/lock:")


def _providers() -> list[str | None]:
    """Names of those that secrets.toml has below [auth]; None is the one without a name of its own."""
    section = st.secrets["auth"]
    named = [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]
    return [None, *named] if "client_id" in section else [*named]
