"""The slips that are made in shell scripts, line by line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

from aws_bootstrap.tests.mutants.python import Slip

SWAPS = {
    "==": "!=",
    "!=": "==",
    "-eq": "-ne",
    "-ne": "-eq",
    "-lt": "-le",
    "-le": "-lt",
    "-gt": "-ge",
    "-ge": "-gt",
    "-z": "-n",
    "-n": "-z",
    "&&": "||",
    "||": "&&",
}
_SWAP = re.compile(r"(?<=\s)(==|!=|-eq|-ne|-lt|-le|-gt|-ge|-z|-n|&&|\|\|)(?=\s)")
_IF = re.compile(r"\b(if|elif|while|until) (?!!)(?=\S)")
_IF_NOT = re.compile(r"\b(if|elif|while|until) ! ")
_NUMBER = re.compile(r"(?<![\w$.>&<-])(?<!return )(?<!exit )(?<!\] = )\d+(?![\w.>&])")
_STATUS = re.compile(r"\b(return|exit) (\d+)\b")
# Not the -n of a test: without it the same is asked.
_OPTION = re.compile(r"(?<=\s)(?!(?<=(?:\[\[|\|\||&&) )-n )--?[A-Za-z][\w-]*(=\S+)?(?=\s|$)")
_LISTED = re.compile(r"(?<=[=\s\"',])[a-z][\w.-]*,(?=[a-z])|,[a-z][\w.-]*(?=[\s\"'])")
_TEST = re.compile(r"\[\[ (?!! )")

REPLACED: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], str]], ...] = (
    (_SWAP, "operator", lambda match: SWAPS[match[1]]),
    (_IF_NOT, "not-dropped", lambda match: f"{match[1]} "),
    (_IF, "condition-negated", lambda match: f"{match[1]} ! "),
    (_TEST, "condition-negated", lambda match: "[[ ! "),
    (_NUMBER, "constant", lambda match: str(int(match[0]) + 1)),
    (_STATUS, "status", lambda match: f"{match[1]} {int(match[2] == '0')}"),
    (_OPTION, "option-dropped", lambda match: ""),
    (_LISTED, "entry-dropped", lambda match: ""),
)
# What a person reads, up to the end of its string; a name that is declared without a value.
_WORDING = re.compile(r"""\b(?:die|note|warn|what=|REASON=|text\+=)\s*("(?:[^"\\]|\\.)*"|'[^']*')""")
_DECLARED = re.compile(r"^\s*local( -a)?( \w+)+$")
_FUNCTION = re.compile(r"^(\w+)\(\) ?[{(]")
_BARE = re.compile(r"^\s*(then|else|fi|do|done|esac|;;|[{}()]+|case .* in|\w+\(\) ?[{(]+.*|.*\))\s*$")
_PROGRESS = re.compile(r"^\s*(echo|printf|say|log|note|warn|info)\b")


def slips(source: bytes) -> list[Slip]:
    """Return every slip that bash can still parse, in the order of the source."""
    where, offset, found, heredoc, continued = "script", 0, [], "", False
    for number, raw in enumerate(source.splitlines(keepends=True), 1):
        line = raw.decode().rstrip("\n")
        where = _function(line, where)
        if heredoc:
            heredoc = "" if line.strip() == heredoc else heredoc
        elif not line.lstrip().startswith("#"):
            found += [
                Slip(offset + len(line[:a].encode()), offset + len(line[:b].encode()), text, kind, where, number)
                for a, b, text, kind in _in_line(line, whole=not continued)
            ]
            opened = re.search(r"(?<!<)<<-?\s*['\"]?(\w+)", line)
            heredoc = opened[1] if opened else ""
        continued = line.endswith("\\")
        offset += len(raw)
    return [slip for slip in found if _parses(slip.applied(source))]


def _function(line: str, where: str) -> str:
    opened = _FUNCTION.match(line)
    if opened:
        return opened[1]
    return "script" if line.startswith(("}", ")")) else where


def _in_line(line: str, *, whole: bool) -> Iterator[tuple[int, int, str, str]]:
    code = re.sub(r"\s#\s.*$", "", line)
    worded = [range(*match.span(1)) for match in _WORDING.finditer(code)]
    for pattern, kind, replacement in REPLACED:
        for match in pattern.finditer(code):
            if not any(match.start() in words for words in worded):
                yield *match.span(), replacement(match), kind
    alone = whole and not code.rstrip().endswith(("\\", "{", "(", "|", "&&", "||", "then", "do"))
    if alone and code.strip() and not any(p.match(code) for p in (_BARE, _PROGRESS, _DECLARED)):
        yield len(code) - len(code.lstrip()), len(code), ":", "statement-dropped"


def _parses(script: bytes) -> bool:
    return subprocess.run(["bash", "-n"], input=script, capture_output=True).returncode == 0
