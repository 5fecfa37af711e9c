"""Run one job on all nodes of a cluster, and end it on all of them as soon as anything is wrong on one.

    gang.py        on each node, beside spec.json

The agents of a job are a gang. That of position 0 is the hub (hub.py), to which the others connect (uplink.py). The hub
decides (decision.py): it begins the data script when all have come, and the job when the data script has ended well
everywhere. A job that fails, a node that is lost, EC2's notice of an interruption or SIGTERM ends all of it. Each agent
then ends its processes (task.py, processes.py), and writes how the gang has ended to result.json.
"""

import contextlib
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import spec
from decision import verdict
from hub import Hub
from notice import Notice
from task import NAMES, Task
from uplink import Uplink

LOOK_SECONDS = 0.1
#: How long the hub waits for the others at the end, beyond what they may take to end their processes.
FAREWELL_SECONDS = 10.0
#: The exit code of an agent whose own job has not failed.
ENDED_BY_OTHERS = 75


class Agent:
    """The agent of one node. `verdict`: how the gang ends, None until then."""

    def __init__(self, settings, run):
        """Take the signals that stop the job."""
        self.spec = settings
        self.run = run
        self.node = settings["nodes"][settings["position"]]
        self.verdict: Any = None
        self.signal = 0
        self.reported: set = set()
        self.task: Any = None
        self.link: Any = None
        self.notice = Notice()
        self.woken, self.waker = socket.socketpair()
        for end in (self.woken, self.waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.stop)

    def stop(self, number, frame):
        """Note a signal."""
        self.signal = self.signal or number

    def work(self):
        """Take part in the gang until it has a verdict."""
        self.task = Task(self.spec, self.run)
        self.task.prepare()
        self.notice.start()
        self.link = self.new_link("")
        while self.verdict is None:
            self.listen()
            self.task.look()
            self.report_all()
            self.decide_alone()

    def new_link(self, failure):
        """Return the link to the hub, or the hub itself. An agent that has failed joins to say so."""
        if self.spec["position"] == 0:
            return Hub(self.spec)
        return Uplink(self.spec, failure)

    def listen(self):
        """Wait a moment for messages, and do what they say."""
        self.link.wait(LOOK_SECONDS, self.woken)
        self.drain()
        self.link.look()
        for message in self.link.messages():
            self.take(message)

    def drain(self):
        """Forget what has woken this agent."""
        with contextlib.suppress(BlockingIOError):
            while self.woken.recv(512):
                pass

    def take(self, message):
        """Do what the hub says."""
        if message["type"] == "verdict":
            self.verdict = {key: message[key] for key in ("succeeded", "outcome", "culprit", "reason")}
        elif message["type"] == "phase" and not self.signal:
            name = NAMES[message["phase"]]
            say(f"node {self.node['rank']} begins the {name}, as all {len(self.spec['nodes'])} nodes do")
            self.task.begin(message["phase"])

    def report_all(self):
        """Report what has happened on this node, each event once."""
        rank, task = self.node["rank"], self.task
        if self.signal:
            self.fail("stopped", f"Node {rank} was stopped by {signal.Signals(self.signal).name}.")
            task.processes.end()
        if self.notice.text:
            self.fail("spot-notice", f"EC2 takes node {rank} away: {self.notice.text}.")
        if task.failure:
            outcome = "data-script-failed" if task.phase == "data" else "job-failed"
            self.fail(outcome, task.failure, time.monotonic() - task.failed_at)
        elif task.has_ended_well():
            self.report("arrived", phase=task.phase)
        elif task.has_succeeded():
            self.report("marked")

    def fail(self, outcome, reason, ago=0.0):
        """Report what ends the gang."""
        self.report("failed", outcome=outcome, reason=reason, ago=ago)

    def report(self, event, **more):
        """Report an event to the hub, if this agent has not."""
        if not self.link.is_member:
            self.reported.clear()
            return
        name = (event, more.get("phase"), more.get("outcome"))
        if name not in self.reported:
            self.reported.add(name)
            self.link.report({"type": event, **more})

    def decide_alone(self):
        """Decide without the hub when there is none."""
        if self.verdict is not None or self.link.is_member:
            return
        hub = self.spec["nodes"][0]
        named = f"Node {hub['rank']} ({hub['address']}), the hub,"
        if self.signal:
            name = signal.Signals(self.signal).name
            self.decide("stopped", self.spec["position"], f"Node {self.node['rank']} was stopped by {name}.")
        elif self.link.lost and not self.task.phase:
            self.decide("join-timeout", 0, f"{named} was not found in time: {self.link.lost}.")
        elif self.link.lost:
            self.decide("node-lost", 0, f"{named} was lost: {self.link.lost}.")

    def decide(self, outcome, position, reason):
        """End without the hub."""
        self.verdict = verdict(self.spec, outcome, position, reason)

    def break_down(self, error):
        """End because of an error of this program. The others hear of it, also if they have not all come yet."""
        reason = f"The agent of node {self.node['rank']} failed: {type(error).__name__}: {error}."
        self.link = self.link or self.new_link(reason)
        until = time.monotonic() + FAREWELL_SECONDS
        while self.verdict is None and time.monotonic() < until and not self.signal:
            self.fail("agent-failed", reason)
            self.listen()
        if self.verdict is None:
            self.decide("agent-failed", self.spec["position"], reason)

    def end(self):
        """End the processes, write the result, and leave. Return the exit code."""
        if self.task:
            self.task.processes.end()
            while not self.task.processes.have_ended():
                self.rest()
        code = self.exit_code()
        spec.write_result(self.run, {**self.verdict, "returncode": code})
        say(f"node {self.node['rank']} ends. {self.verdict['reason']}")
        until = time.monotonic() + self.spec["end_seconds"] + FAREWELL_SECONDS
        while self.link.has_members() and time.monotonic() < until:
            self.rest()
        self.link.close()
        return code

    def rest(self):
        """Wait a moment. The hub goes on to listen to the others."""
        self.link.rest(LOOK_SECONDS, self.woken)
        self.drain()

    def exit_code(self):
        """Return 0 for success, the job's own code if it has failed here, or that of a node that others have ended."""
        if self.verdict["succeeded"]:
            return 0
        if self.task and self.task.failure and not self.signal:
            return self.task.processes.returncode or 1
        return ENDED_BY_OTHERS


def say(text):
    """Write a line to the log."""
    print(f"aws-bootstrap: {text}", file=sys.stderr, flush=True)


def main(run):
    """Run the job of spec.json. Return the exit code."""
    agent = Agent(spec.read(run), run)
    try:
        agent.work()
    except Exception as error:
        agent.break_down(error)
    return agent.end()


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
