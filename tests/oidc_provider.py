"""An OpenID Connect provider on this machine, for tests: whoever presses a name's button is that person.

It refuses what a real one refuses: another client, another secret, a code that is unknown or used, a wrong PKCE verifier.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "torch-playground", "a secret of this test"
PEOPLE = {"ann": "Ann *Example*", "ben": "Ben <b>Example</b>"}  # names as somebody might choose them


class Provider(ThreadingHTTPServer):
    """Where it is: `address`. `signed_out` counts how often it has been told that somebody leaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, auto_kid=False)
        self.codes: dict[str, dict[str, str]] = {}
        self.signed_out = 0

    def secrets_toml(self, port: int, name: str = "") -> str:
        """What Streamlit reads. name: of the provider; "" for the one without."""
        common = f'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "{secrets.token_hex(16)}"\n'
        client = (f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
                  f'server_metadata_url = "{self.address}/.well-known/openid-configuration"\n')
        return f"[auth]\n{common}" + (f"[auth.{name}]\n" if name else "") + client


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        at = self.server.address
        if address.path == "/.well-known/openid-configuration":
            self._json({"issuer": at, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token",
                        "jwks_uri": f"{at}/jwks", "end_session_endpoint": f"{at}/leave", "response_types_supported": ["code"],
                        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                        "code_challenge_methods_supported": ["S256"],
                        "token_endpoint_auth_methods_supported": ["client_secret_basic"]})
        elif address.path == "/jwks":
            self._json({"keys": [self.server.key.as_dict(private=False)]})
        elif address.path == "/authorize" and asked.get("client_id") == CLIENT and asked["code_challenge_method"] == "S256":
            self._ask(asked)
        elif address.path == "/leave":
            self.server.signed_out += 1
            self._to(asked["post_logout_redirect_uri"])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {name: values[0] for name, values in parse_qs(body).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        known = self.server.codes.pop(given.get("code", ""), None)
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        if (self.path != "/token" or self.headers["Authorization"] != f"Basic {basic}" or known is None
                or base64.urlsafe_b64encode(digest).decode().rstrip("=") != known["code_challenge"]
                or given.get("redirect_uri") != known["redirect_uri"]):
            self.send_error(400)
            return
        now = int(time.time())
        claims = {"iss": self.server.address, "sub": f"subject of {known['who']}", "aud": CLIENT, "iat": now, "exp": now + 600,
                  "nonce": known["nonce"], "name": PEOPLE[known["who"]], "email": f"{known['who']}@example.org"}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.server.key)
        self._json({"access_token": secrets.token_hex(16), "token_type": "Bearer", "expires_in": 600, "id_token": token})

    def _ask(self, asked: dict[str, str]) -> None:
        """A page with a button for each person."""
        links = []
        for who in PEOPLE:
            code = secrets.token_hex(16)
            self.server.codes[code] = {**asked, "who": who}
            links.append(f'<a href="{asked["redirect_uri"]}?{urlencode({"code": code, "state": asked["state"]})}">{who}</a>')
        self._send(200, "text/html", f"<title>Provider</title>{' '.join(links)}".replace("&", "&amp;").encode())

    def _json(self, value: object) -> None:
        self._send(200, "application/json", json.dumps(value).encode())

    def _to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for what fails."""


@contextmanager
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
