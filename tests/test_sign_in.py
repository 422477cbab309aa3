"""core/sign_in: a provider that is there, and all that is none."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.sign_in import ProviderSilent, ProviderWrong, check_provider
from tests.oidc_provider import provider


@contextmanager
def answering(status, body=b"", after=None):
    """A server that answers so. after: an event that it waits for."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if after is not None:
                after.wait()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/x"
        server.shutdown()


def test_a_provider_that_is_there():
    with provider() as school:
        check_provider(f"{school.address}/.well-known/openid-configuration")
        address = school.address
    with pytest.raises(ProviderSilent, match="it can't be reached"):
        check_provider(f"{address}/.well-known/openid-configuration")


WHOLE = {"authorization_endpoint": "https://a.example/1", "token_endpoint": "https://a.example/2"}


@pytest.mark.parametrize(("status", "body", "error", "line"), [
    (200, json.dumps(WHOLE), None, ""), (503, "", ProviderSilent, "the error 503"), (429, "", ProviderSilent, "the error 429"),
    (404, "", ProviderWrong, "the status 404"), (302, "", ProviderWrong, "the status 302"),
    (200, "<html>", ProviderWrong, "no JSON"), (200, "\xff\xfe", ProviderWrong, "no JSON"),
    (200, "[]", ProviderWrong, "no authorization_endpoint"), (200, "null", ProviderWrong, "no authorization_endpoint"),
    (200, json.dumps(WHOLE | {"token_endpoint": 3}), ProviderWrong, "no token_endpoint")])
def test_what_answers(status, body, error, line):
    with answering(status, body.encode("latin-1")) as address:
        if error is None:
            check_provider(address)
        else:
            with pytest.raises(error, match=line):
                check_provider(address)


@pytest.mark.parametrize("address", ["", "x", "ftp://a.example", "http://", "http://[", "http://a.example:99999/", "http://\x00"])
def test_what_is_no_address(address):
    with pytest.raises((ProviderWrong, ProviderSilent)):
        check_provider(address)


def test_nobody_waits_for_a_provider_that_is_silent():
    """It is let go on only when the answer is there: else this test would not end."""
    done = threading.Event()
    with answering(200, json.dumps(WHOLE).encode(), done) as address:
        with pytest.raises(ProviderSilent, match="does not answer within 0.2 s"):
            check_provider(address, seconds=0.2)
        done.set()
