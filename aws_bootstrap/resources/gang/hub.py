"""The hub of a gang: the agent of position 0 listens, and each other agent has one connection to it.

    agent → hub    {"type": "hello", "job", "token", "position", "failure"}         the first line
                   {"type": "beat"}                                                 each second
                   {"type": "arrived", "phase": "join"|"data"|"job"}                it has ended this phase well
                   {"type": "marked"}                    its processes have succeeded, but not all of them have ended
                   {"type": "failed", "outcome": OUTCOME, "reason": SENTENCE, "ago": SECONDS}
    hub → agent    {"type": "welcome"} or {"type": "refused", "reason": SENTENCE}   the answer to hello
                   {"type": "beat"}                                                 each second
                   {"type": "phase", "phase": "data"|"job"}                         begin it
                   {"type": "verdict", "succeeded", "outcome", "culprit", "reason"} end the job, write this result

Whoever hears nothing for `silence_seconds` takes the other one to be lost.
"""

import hmac
import select
import time

from decision import Decision
from listener import Listener

BEAT_SECONDS = 1.0


class Hub:
    """The hub, and the link of the agent of position 0 to it: `report` and `messages` are those of an uplink."""

    def __init__(self, spec):
        """Begin. The first look listens."""
        self.spec = spec
        self.decision = Decision(spec, time.monotonic())
        self.listener = Listener(spec)
        self.members = {}
        self.inbox = []
        self.phase = "join"
        self.is_over = False
        self.is_member = True
        self.lost = ""
        self.beat_at = 0.0
        self.decision.arrived(0)

    # --- the agent of position 0 ---------------------------------------------------------------------------

    def report(self, message):
        """Take a report of position 0."""
        self.take(0, message)

    def messages(self):
        """Return what position 0 is sent."""
        sent, self.inbox = self.inbox, []
        return sent

    def wait(self, seconds, woken):
        """Wait until something comes, at most so long."""
        waiting = [woken, *self.listener.sockets()]
        for connection in self.members.values():
            if not connection.closed:
                waiting.append(connection.socket)
        select.select(waiting, [], [], seconds)

    def rest(self, seconds, woken):
        """Wait a moment, and hear of the others' end."""
        self.wait(seconds, woken)
        self.look()

    def look(self):
        """Take what has come, decide what is due, and send it. OSError if the address is not free in time."""
        self.admit()
        for position, connection in self.members.items():
            if connection.closed:
                continue
            for message in connection.receive():
                self.take(position, message)
            self.find_loss(position, connection)
        self.decision.look(time.monotonic())
        self.announce()
        if time.monotonic() >= self.beat_at:
            self.beat_at = time.monotonic() + BEAT_SECONDS
            self.send_members({"type": "beat"})
        for connection in self.members.values():
            connection.flush()

    def has_members(self):
        """Return whether an agent is still connected, or is to come and hear why the gang fails before it begins."""
        decision = self.decision
        if decision.phase == "join" and decision.missing and decision.verdict["outcome"] == "agent-failed":
            return True
        return any(not connection.closed for connection in self.members.values())

    def close(self):
        """Close the connections. A later hello finds nobody."""
        self.listener.close()
        for connection in self.members.values():
            connection.close()

    # --- the others ----------------------------------------------------------------------------------------

    def admit(self):
        """Take in the agents that have said who they are."""
        for connection, messages in self.listener.look():
            hello = messages[0]
            reason = self.refusal(hello)
            if reason:
                connection.send({"type": "refused", "reason": reason})
                connection.close()
                continue
            position = hello["position"]
            self.members[position] = connection
            connection.send({"type": "welcome"})
            if self.is_over:
                connection.send({"type": "verdict", **self.decision.verdict})
            if hello["failure"]:
                self.decision.failed("agent-failed", position, hello["failure"], time.monotonic())
            self.decision.arrived(position)
            for message in messages[1:]:
                self.take(position, message)

    def refusal(self, hello):
        """Return why an agent is refused, "" if it is not."""
        token = str(hello.get("token")).encode()
        position = hello.get("position")
        if hello["type"] != "hello" or hello.get("job") != self.spec["job"]:
            return "the hub runs another job"
        if not hmac.compare_digest(token, self.spec["token"].encode()):
            return "the token is wrong"
        if not isinstance(position, int) or not 0 < position < len(self.spec["nodes"]):
            return "there is no such position"
        present = self.members.get(position)
        if present and not present.closed:
            return "this position is taken"
        if self.decision.phase != "join":
            return "the job has begun"
        return ""

    def take(self, position, message):
        """Take a report of an agent."""
        now = time.monotonic()
        if message["type"] == "arrived" and message["phase"] == self.decision.phase:
            self.decision.arrived(position)
        elif message["type"] == "marked":
            self.decision.finished_work(position, now)
        elif message["type"] == "failed":
            self.decision.failed(message["outcome"], position, message["reason"], now, message["ago"])

    def find_loss(self, position, connection):
        """Note that a node is lost. One that leaves before all have come may come again."""
        is_silent = not connection.closed and connection.silent_for() > self.spec["silence_seconds"]
        if is_silent:
            connection.closed = f"silent for {self.spec['silence_seconds']:g} s"
        if not connection.closed or self.decision.verdict:
            return
        if self.decision.phase == "join":
            self.decision.missing.add(position)
            return
        node = self.spec["nodes"][position]
        reason = f"Node {node['rank']} ({node['address']}) was lost: its connection is {connection.closed}."
        self.decision.lost(position, reason, time.monotonic(), is_silent)

    def announce(self):
        """Send a phase or the verdict, once."""
        if self.decision.verdict:
            if not self.is_over:
                self.is_over = True
                self.send_all({"type": "verdict", **self.decision.verdict})
        elif self.decision.phase != self.phase:
            self.phase = self.decision.phase
            self.send_all({"type": "phase", "phase": self.phase})

    def send_all(self, message):
        """Send to every agent."""
        self.inbox.append(message)
        self.send_members(message)

    def send_members(self, message):
        """Send to every connected agent."""
        for connection in self.members.values():
            if not connection.closed:
                connection.send(message)
