"""What the hub knows of the gang, and what it decides: when a phase begins, and when and why the gang ends.

Nothing here waits, sends or reads a clock, so that each rule can be tried with a few calls. Nodes are named by their
position here, and by their rank in what a user reads.

The phases are `join` (until all agents have come), `data` (the data script, if there is one) and `job`. A phase begins
when all nodes have ended the one before: that is the barrier.
"""

from typing import Any

#: How long failures are collected after the first one, in seconds. A job that fails on one node fails on the others
#: within milliseconds, since their connections to it break: the first of them is the cause.
COLLECT_SECONDS = 1.0
#: How long silent nodes are collected after the first one: their last words are up to a heartbeat apart.
SILENT_SECONDS = 2.0
#: The outcomes that end a gang, the strongest first. A node that is taken away makes the job fail on the others too.
OUTCOMES = ("spot-notice", "node-lost", "stopped", "agent-failed", "join-timeout", "data-script-failed", "job-failed")


class Decision:
    """The state of the gang. `phase` and `verdict` (None until it has one) are what the agents are sent."""

    def __init__(self, spec, now):
        """Begin with the phase `join`, which has a limit."""
        self.spec = spec
        self.nodes = spec["nodes"]
        self.phase = "join"
        self.missing = set(range(len(self.nodes)))
        self.marked: set = set()
        self.join_until = now + spec["join_seconds"]
        self.exit_until: Any = None
        self.causes: list = []
        self.lost_nodes: set = set()
        self.decide_at: Any = None
        self.verdict: Any = None

    def arrived(self, position):
        """Note that a node has ended the phase well. The next phase begins after the last of them."""
        self.missing.discard(position)
        if self.missing or self.causes or self.verdict:
            return
        if self.phase == "job":
            self.decide("done", None, f"The job succeeded on {self.number_of_nodes()}.")
            return
        has_data_script = self.phase == "join" and self.spec["data_script"]
        self.phase = "data" if has_data_script else "job"
        self.missing = set(range(len(self.nodes)))

    def finished_work(self, position, now):
        """Note that all processes of a node have marked their success. They may hang at their exit: that is limited."""
        self.marked.add(position)
        if len(self.marked) == len(self.nodes) and self.exit_until is None:
            self.exit_until = now + self.spec["exit_seconds"]

    def failed(self, outcome, position, reason, now, ago=0.0):
        """Note that something has failed on a node, so many seconds ago."""
        self.causes.append((OUTCOMES.index(outcome), now - ago, position, reason))
        seconds = 0.0
        if outcome == "job-failed" and len(self.nodes) > 1:
            seconds = COLLECT_SECONDS
        self.decide_in(seconds, now)

    def lost(self, position, reason, now, is_silent):
        """Note that a node is lost. If all others are, from the hub's point of view, it is the hub that is lost."""
        self.lost_nodes.add(position)
        self.causes.append((OUTCOMES.index("node-lost"), now, position, reason))
        others = len(self.nodes) - 1
        if 1 < others == len(self.lost_nodes):
            hub = self.nodes[0]
            cut_off = f"Node {hub['rank']} ({hub['address']}), the hub, was lost: it has no connection to another node."
            self.causes.append((OUTCOMES.index("node-lost"), float("-inf"), 0, cut_off))
        self.decide_in(SILENT_SECONDS if is_silent and others > 1 else 0.0, now)

    def decide_in(self, seconds, now):
        """Decide after so many seconds, or earlier if that is due."""
        self.decide_at = min(now + seconds, self.decide_at or now + seconds)

    def look(self, now):
        """Decide what is due."""
        if self.verdict:
            return
        if self.decide_at is not None:
            if now >= self.decide_at:
                strength, _, position, reason = min(self.causes)
                self.decide(OUTCOMES[strength], position, reason)
        elif self.phase == "join" and now >= self.join_until:
            self.give_up()
        elif self.exit_until is not None and now >= self.exit_until:
            self.decide("done", None, f"The job succeeded on {self.number_of_nodes()}. Its processes did not end.")

    def give_up(self):
        """Decide that nodes have not come in time."""
        ranks = [str(self.nodes[position]["rank"]) for position in sorted(self.missing)]
        named = f"Node {ranks[0]}"
        if len(ranks) > 1:
            named = f"Nodes {', '.join(ranks[:-1])} and {ranks[-1]}"
        reason = f"{named} did not join within {self.spec['join_seconds']:g} s."
        self.decide("join-timeout", min(self.missing), reason)

    def decide(self, outcome, position, reason):
        """Note how the gang ends. The first verdict is final."""
        if self.verdict is None:
            self.verdict = verdict(self.spec, outcome, position, reason)

    def number_of_nodes(self):
        """Return the number of nodes, in words."""
        if len(self.nodes) == 1:
            return "its one node"
        return f"all {len(self.nodes)} nodes"


def verdict(spec, outcome, position, reason):
    """Return how the gang ends."""
    culprit = None
    if position is not None:
        culprit = spec["nodes"][position]["rank"]
    return {"succeeded": outcome == "done", "outcome": outcome, "culprit": culprit, "reason": reason}
