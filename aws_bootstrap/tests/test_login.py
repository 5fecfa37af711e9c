"""Sessions of `aws login`, with botocore's own provider: none, expired, refused, renewed; and what they cost others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import botocore.credentials
import botocore.exceptions
import botocore.tokens
import pytest
from botocore.utils import generate_login_cache_key

from aws_bootstrap.aws import OTHER_PARTITIONS, translate_aws_errors
from aws_bootstrap.errors import BootstrapError

SESSION = "arn:aws:iam::123456789012:user/me"

#: A key of P-256 that signs nothing but these tests' requests.
KEY = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIOtlZrPO5+6dEXY3ctu5dnXC7cuAs08VIGtSxzI4gUwXoAoGCCqGSM49
AwEHoUQDQgAExvkN6LvsjwU4tNDRjGQtJahjgM91kM1miB/s90QOn7c0mtQrHVRm
QwvBZGlgH49ilpndvl7DckmQ82ydLT+2BA==
-----END EC PRIVATE KEY-----
"""


@pytest.fixture
def login(monkeypatch, tmp_path) -> Path:
    """The file of a login session's token, for the profile `console`; it is not there yet, and there is no network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(f"[profile console]\nlogin_session = {SESSION}\nregion = us-west-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "console")
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    return tmp_path / f"{generate_login_cache_key(SESSION)}.json"


def token(expires: str = "2020-01-01T00:00:00Z", key: str = KEY) -> dict[str, Any]:
    """What `aws login` saves."""
    access = {"accessKeyId": "ASIAOLD", "secretAccessKey": "old-secret", "sessionToken": "old-token"}
    return {
        "accessToken": access | {"accountId": "123456789012", "expiresAt": expires},
        "tokenType": "aws_sigv4",
        "refreshToken": "refresh-me",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": key,
    }


def failed(run, *words: str) -> dict[str, Any]:
    done = run("status", "-o", "json", *words)
    assert done.exit_code == 1, done.output
    return json.loads(done.stdout)["error"]


def test_a_session_that_was_never_opened_names_the_command_that_opens_it(run, login):
    error = failed(run)
    assert error["code"] == "expired-credentials"
    assert error["message"] == "This machine has no usable AWS login session."
    assert error["hint"] == "Sign in: aws login"


def test_the_command_names_the_same_profile(run, login, monkeypatch):
    monkeypatch.delenv("AWS_PROFILE")
    assert failed(run, "--profile", "console")["hint"] == "Sign in: aws login --profile console"


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(token())[:90],
        "[]",
        json.dumps({key: value for key, value in token().items() if key != "dpopKey"}),
        json.dumps(token(key="no key")),
        json.dumps(token() | {"accessToken": {}}),
        json.dumps(token(key="-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")),
    ],
    ids=["empty", "cut", "list", "no-key", "not-base64", "no-token", "bad-key"],
)
def test_a_broken_session_is_replaced_by_a_new_one(run, login, text):
    login.write_text(text)
    assert failed(run)["hint"] == "Sign in: aws login"


def test_an_expired_session_is_not_called_ended_while_there_is_no_network(run, login):
    login.write_text(json.dumps(token()))
    error = failed(run)
    assert error["code"] == "unreachable"
    assert "/v1/token" in error["message"]


def test_a_session_that_still_holds_needs_no_renewal(run, login):
    login.write_text(json.dumps(token("2099-01-01T00:00:00Z")))
    assert "/v1/token" not in failed(run)["message"], "EC2 itself was called"


def test_no_secret_of_a_session_is_shown(run, login):
    login.write_text(json.dumps(token("2099-01-01T00:00:00Z")))
    done = run("status", "--debug")
    for secret in ("old-secret", "old-token", "refresh-me"):
        assert secret not in done.output


class SignIn(HTTPServer):
    """AWS's Sign-in service on loopback: it answers every request alike."""

    status = 200
    answer: dict[str, Any]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.signatures: list[str] = []


class Answers(BaseHTTPRequestHandler):
    server: SignIn

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.signatures.append(self.headers["DPoP"])
        self.send_response(self.server.status)
        if self.server.status == 403:
            self.send_header("x-amzn-ErrorType", "AccessDeniedException")
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sign_in(login, monkeypatch) -> Iterator[SignIn]:
    """The Sign-in service, for a session whose keys have expired."""
    login.write_text(json.dumps(token()))
    server = SignIn()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SIGNIN", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("reason", "code", "words", "hint"),
    [
        ("TOKEN_EXPIRED", "expired-credentials", "has ended", "Sign in again: aws login"),
        ("USER_CREDENTIALS_CHANGED", "expired-credentials", "have changed", "Sign in again: aws login"),
        ("INSUFFICIENT_PERMISSIONS", "access-denied", "signin:CreateOAuth2Token", "SignInLocalDevelopmentAccess"),
        ("SOMETHING_NEW", "expired-credentials", "has ended", "Sign in again: aws login"),
    ],
)
def test_a_session_that_aws_does_not_renew_says_why(run, sign_in, reason, code, words, hint):
    sign_in.status, sign_in.answer = 403, {"error": reason, "message": "no"}
    error = failed(run)
    assert error["code"] == code
    assert words in error["message"]
    assert hint in error["hint"]
    assert sign_in.signatures


def test_an_expired_session_is_renewed_and_saved(run, login, sign_in):
    access = {"accessKeyId": "ASIANEW", "secretAccessKey": "new-secret", "sessionToken": "new-token"}
    sign_in.answer = {"accessToken": access, "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": "next"}
    assert "/v1/token" not in failed(run)["message"], "EC2 itself was called, with the new keys"
    assert json.loads(login.read_text())["accessToken"]["accessKeyId"] == "ASIANEW"
    assert sign_in.signatures[0].count(".") == 2, "awscrt signed the request"


LOADED = """
import sys
from aws_bootstrap.aws import Aws
from aws_bootstrap.errors import BootstrapError
try:
    Aws().ec2("us-west-2")
except BootstrapError as error:
    print(error.code)
print("awscrt" in sys.modules)
"""


def loaded(**more: str) -> list[str]:
    """The code of the error of a new process with a client of EC2, if any, and whether it has imported awscrt."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, env=os.environ | more
    )
    return done.stdout.split()


def test_awscrt_is_imported_for_no_other_credentials():
    assert loaded() == ["False"]


def test_awscrt_is_imported_for_a_login_session(login):
    assert loaded() == ["expired-credentials", "True"]


def test_a_machine_where_awscrt_is_disabled_says_so(login):
    assert loaded(BOTO_DISABLE_CRT="true") == ["no-crt", "True"]


def credential_errors() -> list[str]:
    """The names of botocore's exceptions about credentials: what its providers raise, and what is named like them."""
    found = set()
    for name, value in vars(botocore.exceptions).items():
        if not isinstance(value, type) or not issubclass(value, botocore.exceptions.BotoCoreError):
            continue
        words = ("Login", "SSO", "Token", "Credential", "Profile", "MFA", "Dependency")
        raised = name in vars(botocore.credentials) or name in vars(botocore.tokens)
        if raised or any(word in name for word in words):
            found.add(name)
    return sorted(found - {"InvalidSTSRegionalEndpointsConfigError"})


class Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return key


@pytest.mark.parametrize("name", credential_errors())
def test_each_error_of_botocore_about_credentials_has_a_code_and_a_remedy(name):
    kind = getattr(botocore.exceptions, name)
    raised = kind.__new__(kind)
    Exception.__init__(raised, kind.fmt.format_map(Fields()))
    with pytest.raises(BootstrapError) as caught, translate_aws_errors():
        raise raised
    assert caught.value.code != "aws-error"
    assert caught.value.hint


def test_the_errors_of_a_login_are_among_them():
    assert {"LoginRefreshRequired", "LoginTokenLoadError", "MissingDependencyException"} < set(credential_errors())


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "us-iso-east-1"])
def test_a_region_of_another_partition_is_refused(run, region):
    """There the first call would fail for the credentials, and prices could not be read."""
    done = run("status", "-r", region, "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert done.exit_code == 2
    assert error["code"] == "bad-region"
    assert region in error["message"]


def test_every_region_of_other_partitions_is_known(monkeypatch):
    session = boto3.Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            assert region.startswith(OTHER_PARTITIONS) == (partition != "aws"), region
