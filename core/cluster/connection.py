"""Joining a Ray cluster that is there. Nothing is ever started."""

import importlib
import importlib.util
import os
import re
import socket
from contextlib import suppress
from typing import Any

from core.errors import reason
from core.subprocesses import ROOT

INSTALL = "pip install -r requirements-cluster.txt"
SECONDS_TO_ANSWER = 3.0


# Of Ray, read as it is imported: how often it tries to join, seconds until it gives a cluster up, and that no call after
# shutdown() joins again, or starts a cluster
RAY = {"RAY_NUM_REDIS_GET_RETRIES": "3", "RAY_gcs_rpc_server_reconnect_timeout_s": "20", "RAY_ENABLE_AUTO_CONNECT": "0"}
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"  # Ray's way to say that nothing listens but on 127.0.0.1


class CannotJoin(RuntimeError):
    """The message is one line that says what to do."""


def is_installed() -> bool:
    """Whether there is Ray here, without importing it."""
    return importlib.util.find_spec("ray") is not None


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host.strip("[]"), int(port)


def answers(address: str, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Whether anything takes connections there."""
    try:
        with socket.create_connection(host_and_port(address), seconds):
            return True
    except (OSError, OverflowError):
        return False


def is_on_loopback_alone(address: str) -> bool:
    """Whether a cluster is on this machine and listens to nobody else: then it is not where Ray would look for it, which takes
    127.0.0.1 for the machine's own address in its network."""
    host, port = host_and_port(address)
    if host not in ("127.0.0.1", "localhost", "::1"):
        return False
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_anywhere:
        to_anywhere.connect(("192.0.2.1", 9))  # nothing is sent: it only says which address would be ours
        own = to_anywhere.getsockname()[0]
        return not answers(f"{own}:{port}", 1.0)
    return True


def join(address: str) -> Any:
    """The package ray, with this process as a driver of the cluster at that address. Raises CannotJoin."""
    if not is_installed():
        raise CannotJoin(f"Ray is not installed here: {INSTALL}, then start the app again.")
    if not answers(address):
        raise CannotJoin(f"No Ray cluster answers at {address}. Start it, or set RAY_ADDRESS to where it is.")
    os.environ.update(RAY)
    if is_on_loopback_alone(address):
        os.environ.setdefault(*LOOPBACK)
    ray = importlib.import_module("ray")  # half a second, and only where it is asked for
    environment = {"py_modules": [str(ROOT / "core")], "excludes": ["**/__pycache__/**"]}
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # of many kinds, some of them Ray's own
        raise CannotJoin(explained(address, error)) from error
    return ray


def explained(address: str, error: Exception) -> str:
    """Why a cluster can't be joined, in one line."""
    found: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        found.append(f"{type(cause).__name__} {cause}")
        cause = cause.__cause__ or cause.__context__
    text = " ".join(found)
    if any(word in text for word in ("AuthenticationError", "Unauthenticated", "UNAUTHENTICATED", "InvalidAuthToken")):
        return (f"The cluster at {address} does not take this server's token. Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH to the cluster's.")
    if "client connection timeout" in text:  # all that Ray's client says where a token is wrong
        return (f"Ray at {address} does not let this server in. Look whether RAY_AUTH_MODE and RAY_AUTH_TOKEN are the cluster's, "
                "and whether RAY_ADDRESS has the port of Ray's client (10001 unless it was started with another).")
    if "version mismatch" in text.lower():
        which = re.findall(r"(?:Ray|Python): (\S+)", text)
        both = ": Ray {} and Python {} there, Ray {} and Python {} here".format(*which) if len(which) >= 4 else ""
        return f"The cluster at {address} has another Python or Ray than this server{both}. Install the same."
    if "node_ip_address" in text or "Can't find" in text or "raylet" in text:
        return (f"This machine is no part of the cluster at {address}. Run `ray start --address={address}` here, or set "
                "RAY_ADDRESS to ray://HOST:10001.")
    return f"The cluster at {address} can't be joined: {reason(error)}"
