"""Whatever the user's SSH config holds and whatever is done to it: his bytes stay, and ssh uses our blocks."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from aws_bootstrap import sshconfig
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.properties import cases

BOX = factories.host(instance_id="i-0new", identity_file="/k/id", known_hosts="/k/hosts", port=2222)
BLOCK = sshconfig.with_host("", replace(BOX, instance_id="i-0old", alias="aws-gpu7"))
OLDER_BLOCK = BLOCK.replace("Host *\n", "").replace("i-0old", "i-0older").replace("aws-gpu7", "aws-gpu8")

# What ssh takes, in every way of writing that it knows.
OPTIONS = [
    "User me",
    "    User you",
    "\tPort 99",
    "HostName 9.9.9.9",
    "HostName %h.example.com",
    "HostKeyAlias other",
    "IdentityFile ~/.ssh/other",
    "IdentitiesOnly no",
    "UserKnownHostsFile /dev/null",
    "ProxyJump bastion",
    "ProxyCommand nc %h %p",
    "PubkeyAuthentication no",
    "PreferredAuthentications password",
    "StrictHostKeyChecking no",
    "SendEnv MINE",
    '"User" "quoted"',
    "User=equal",
    "IgnoreUnknown Unheard*",
    "UnheardOf yes",
    "Include /nonexistent/config",
    "Include included",
    "# a comment",
    "#",
    "",
    "  ",
    "\x0c",
]
SECTIONS = [
    "Host a",
    "Host *",
    "Host * !a",
    "Host aws-*",
    "Host aws-gpu1",
    'Host "aws-gpu2" b',
    "Host b 'aws-gpu3'",
    "\thost = aws-gpu4",
    "Host\rHost aws-gpu5",
    "HOST\taws-gpu6 ",
    "Match all",
    "Match host aws-gpu*",
    "Match originalhost a,b",
]
# What ssh or we may stumble on.
BROKEN = [
    "Host",
    "Prot 22",
    'User "open',
    "Match nonsense",
    "# >>> aws-bootstrap [i-0old] >>>",
    "# <<< aws-bootstrap [i-0old] <<<",
    "# >>> aws-bootstrap [i-0cut] >>>",
    "# <<< aws-bootstrap [i-0cut] <<<",
    "# >>> aws-bootstrap [] >>>",
    "# >>> aws-bootstrap [i-0old] >>> mine",
    " # >>> aws-bootstrap [i-0old] >>>",
]
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", ""])


def written(lines: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A file of such lines, with line ends of every kind, and perhaps whole blocks between them."""
    blocks = st.sampled_from([BLOCK, OLDER_BLOCK, BLOCK.replace("\n", "\r\n"), BLOCK.removesuffix("\n")])
    line = st.builds(str.__add__, lines, ENDS)
    return st.lists(st.one_of(line, line, line, blocks), max_size=10).map("".join)


VALID = written(st.sampled_from(OPTIONS + SECTIONS))
NOISE = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
ANY = written(st.one_of(st.sampled_from(OPTIONS + SECTIONS), st.sampled_from(BROKEN), NOISE))


def without_blocks(text: str, instance_id: str) -> str:
    """The text without the whole blocks of an instance: told line by line, and so by another way than the program."""
    kept: list[str] = []
    block: list[str] = []
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        marker = re.match(r"# (>>>|<<<) aws-bootstrap \[([^\]\r\n]+)\] \1[ \t]*\r?\n?\Z", line)
        begins = marker is not None and marker[1] == ">>>" and line.endswith("\n")
        ends = marker is not None and marker[1] == "<<<"
        ends = ends and marker is not None and bool(block) and f"[{marker[2]}]" in block[0]
        other = re.match(r"# (>>>|<<<) aws-bootstrap ", line) is not None and not ends
        if begins or other:
            kept += block
            block = [line] if begins else []
            kept += [] if begins else [line]
        elif ends:
            mine = marker is not None and marker[2] == instance_id
            kept += [] if mine else [*block, line]
            block = []
        elif block:
            block.append(line)
        else:
            kept.append(line)
    return "".join(kept + block)


def ends_in_an_older_block(text: str) -> bool:
    """Whether the last line end before the last block may be one that an older version put there."""
    return bool(re.search(r"<<<[ \t]*\r?\Z", text)) and not re.search(r"Host \*\r?\n# <<<[^\n]*\Z", text)


# --- every byte of the user's stays ----------------------------------------------------------------------


@cases(60)
@given(ANY)
@example("AddKeysToAgent yes\r")
@example("# <<< aws-bootstrap [i-0new] <<<\n")
@example("\ufeffHost a")
def test_add_then_remove_gives_back_every_byte_of_any_file(tmp_path, mine):
    path = tmp_path / "config"
    before = mine.encode("utf-8", "surrogateescape")
    path.write_bytes(before)
    alias = sshconfig.add(path, replace(BOX, alias=""))
    written = path.read_bytes()
    assert written.endswith(before)
    assert re.fullmatch(r"aws-gpu[1-9][0-9]*", alias)
    added = sshconfig.find(sshconfig.read(path), BOX.instance_id)
    assert added == replace(BOX, alias=alias)
    assert sshconfig.remove(path, [BOX.instance_id]) == {BOX.instance_id: alias}
    assert path.read_bytes() == before


@dataclass(frozen=True)
class Step:
    """One thing that the program or the user does to the file. `where` is a share of its length."""

    verb: str
    number: int
    where: float
    line: str


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["add", "add", "move", "remove", "insert", "delete"]),
        st.integers(1, 3),
        st.floats(0, 1),
        st.sampled_from([*OPTIONS, *SECTIONS, *BROKEN]).map(lambda line: f"{line}\n"),
    ),
    max_size=8,
)


def done(text: str, step: Step) -> str:
    """The text after the step. What the program did is checked against what may change: blocks of that instance."""
    instance_id = f"i-{step.number}"
    rest = without_blocks(text, instance_id)
    at = round(step.where * len(text))
    match step.verb:
        case "add" | "move":
            address = "54.1.2.3" if step.verb == "add" else "54.9.9.9"
            host = sshconfig.named(text, replace(BOX, instance_id=instance_id, alias="", hostname=address))
            after = sshconfig.with_host(text, host)
            assert ends_in_an_older_block(text) or after.endswith(rest)
            assert sshconfig.find(after, instance_id) == host
            assert sshconfig.with_host(after, host) == after
            return after
        case "remove":
            after = sshconfig.without_host(text, instance_id)
            assert ends_in_an_older_block(text) or after == rest
            return after
        case "insert":
            start = text.rfind("\n", 0, at) + 1
            return text[:start] + step.line + text[start:]
        case _:
            start = text.rfind("\n", 0, at) + 1
            end = text.find("\n", at) + 1 or len(text)
            return text[:start] + text[end:]


@cases(200)
@given(ANY, STEPS)
def test_the_program_changes_its_own_blocks_alone_whatever_else_is_done_to_the_file(mine, steps):
    text = mine
    for step in steps:
        text = done(text, step)
        aliases = [host.alias for host in sshconfig.hosts(text) if host.instance_id in ("i-1", "i-2", "i-3")]
        assert sshconfig.next_alias(text) not in aliases


# --- ssh is the judge ------------------------------------------------------------------------------------


def asked(path: Path, name: str) -> tuple[int, list[str]]:
    """Exit status of `ssh -G`, and the options that ssh would use."""
    done = subprocess.run(["ssh", "-G", "-F", str(path), name], capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout.splitlines()


def like(lines: list[str], name: str) -> list[str]:
    """The options, the host's own name taken out."""
    return [line.replace(name, "NAME") for line in lines]


@cases(30)
@given(VALID)
@example("User me\nPort 99\nHostName 9.9.9.9\nProxyCommand false\n")
@example("Host\rHost aws-gpu1\n    User taken")
@example("Match all\r\n    IdentityFile ~/.ssh/other\r\nInclude included\r")
def test_ssh_uses_the_block_and_treats_every_other_host_as_before(tmp_path, mine):
    path = tmp_path / "config"
    path.write_bytes(mine.encode("utf-8", "surrogateescape"))
    code, elsewhere = asked(path, "elsewhere")
    alias = sshconfig.next_alias(mine)
    unnamed = alias[:-1] + "x"  # as long, so that wildcards treat it alike
    assert like(asked(path, alias)[1], alias) == like(asked(path, unnamed)[1], unnamed), "the alias is taken"

    sshconfig.add(path, replace(BOX, alias=""))
    assert asked(path, "elsewhere") == (code, elsewhere)
    code_after, lines = asked(path, alias)
    assert code_after == code
    if code:
        return
    seen: dict[str, str] = {}
    for line in lines:
        keyword, _, value = line.partition(" ")
        seen.setdefault(keyword, value)
    assert (seen["hostname"], seen["user"], seen["port"]) == ("54.1.2.3", "ubuntu", "2222")
    assert (seen["identityfile"], seen["identitiesonly"]) == ("/k/id", "yes")
    assert (seen["hostkeyalias"], seen["userknownhostsfile"]) == ("i-0new", "/k/hosts")
    assert seen["stricthostkeychecking"] == "accept-new"
    assert (seen["pubkeyauthentication"], seen["preferredauthentications"]) == ("true", "publickey")
    assert "proxyjump" not in seen
    assert seen.get("proxycommand", "none") == "none"
