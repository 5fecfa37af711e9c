"""EC2's notice that it takes this spot box away, from the instance metadata (IMDSv2).

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

import contextlib
import json
import os
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

#: Between two looks, in seconds. EC2 says to look each five seconds.
LOOK_SECONDS = float(os.environ.get("GANG_NOTICE", "5"))
SETTINGS = Path("/etc/aws-bootstrap/guardian.env")
ADDRESS = "169.254.169.254"


class Notice(threading.Thread):
    """Looks for the notice until there is one. `text`: one line about it, "" while there is none."""

    def __init__(self):
        """Read where the instance metadata is."""
        super().__init__(daemon=True)
        self.address = address()
        self.text = ""

    def run(self):
        """Look, again and again. Metadata that does not answer has no notice."""
        while not self.text:
            with contextlib.suppress(OSError, HTTPException):
                self.text = describe(self.metadata("spot/instance-action"))
            time.sleep(LOOK_SECONDS)

    def metadata(self, path):
        """Return what the instance metadata has at this path, "" for nothing."""
        token = self.request("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return self.request("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})

    def request(self, method, path, headers):
        """Return the answer to a request, "" if it is none."""
        with contextlib.closing(HTTPConnection(self.address, timeout=2)) as connection:
            connection.request(method, f"/latest/{path}", headers=headers)
            reply = connection.getresponse()
            text = reply.read().decode(errors="replace")
        return text if reply.status == 200 else ""


def address():
    """Return the address of the instance metadata: the guardian's setting, which tests and the sandbox have."""
    with contextlib.suppress(KeyError):
        return os.environ["GUARDIAN_METADATA"]
    with contextlib.suppress(OSError):
        for line in SETTINGS.read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "GUARDIAN_METADATA":
                return value.strip("\"' ")
    return ADDRESS


def describe(notice):
    """Return what a notice says, in one line."""
    if not notice:
        return ""
    try:
        found = json.loads(notice)
        return f"{found['action']} at {found['time']}"
    except (ValueError, KeyError, TypeError):
        return " ".join(notice.split())[:200]
