"""The slips that are made in Python code: each changes one place of one function."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

COMPARE: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "startswith": "endswith", "endswith": "startswith"}
PROGRESS = re.compile(r"output\.(step|info|val|success|live|echo|secho)\b")
"""Calls that tell a person what is going on. What a result, a warning or an error says is not among them."""


@dataclass(frozen=True)
class Slip:
    """One change: the bytes from `start` to `end` become `text`. `where` is the function, `line` counts from 1."""

    start: int
    end: int
    text: str
    kind: str
    where: str
    line: int
    at_import: bool = False
    """Whether the place runs when the module is imported: a constant, or the default of an argument."""

    def applied(self, source: bytes) -> bytes:
        """Return the source with the slip."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def slips(source: bytes) -> list[Slip]:
    """Return every slip that still compiles and changes the program, in the order of the source."""
    tree = ast.parse(source)
    found = {(s.start, s.end, s.text): s for s in _Finder(source).found(tree)}
    whole = ast.dump(tree)
    return [s for s in sorted(found.values(), key=lambda s: (s.start, s.end)) if _changes(s.applied(source), whole)]


def _changes(source: bytes, before: str) -> bool:
    try:
        return ast.dump(ast.parse(source)) != before
    except (SyntaxError, ValueError):
        return False


class _Finder:
    """Walks the tree, and knows the function it is in and which parts are nobody's business."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def found(self, node: ast.AST, where: str = "", at_import: bool = True) -> Iterator[Slip]:
        if _is_left_out(node):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = f"{where}.{node.name}".lstrip(".")
        for start, end, text, kind in self._here(node):
            line = self.source.count(b"\n", 0, start) + 1
            yield Slip(start, end, text, kind, where or "module", line, at_import)
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in _children(node):
            yield from self.found(child, where, at_import and (not in_function or isinstance(child, ast.arguments)))

    def _here(self, node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
        make = getattr(self, f"_{type(node).__name__}", None)
        if make:
            yield from make(node)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self.lines[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self.lines[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    # --- conditions ---

    def _Compare(self, node: ast.Compare) -> Iterator[tuple[int, int, str, str]]:
        sides = [node.left, *node.comparators]
        for (left, right), op in zip(pairwise(sides), node.ops, strict=True):
            token, other = COMPARE[type(op)]
            pattern = token if token[0].isalpha() or "\\" in token else re.escape(token)
            yield from self._between(left, right, pattern, other, "compare")

    def _between(
        self, left: ast.AST, right: ast.AST, pattern: str, other: str, kind: str
    ) -> Iterator[tuple[int, int, str, str]]:
        start, end = self._span(left)[1], self._span(right)[0]
        match = re.search(pattern, self.source[start:end].decode())
        if match:
            yield start + match.start(), start + match.end(), other, kind

    def _BoolOp(self, node: ast.BoolOp) -> Iterator[tuple[int, int, str, str]]:
        here, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        parts = [f"({self._text(value)})" for value in node.values]
        start, end = self._span(node)
        yield start, end, f"({f' {other} '.join(parts)})", "and-or"
        for number in range(len(parts)):
            rest = parts[:number] + parts[number + 1 :]
            yield start, end, f"({f' {here} '.join(rest)})", "operand-dropped"

    def _UnaryOp(self, node: ast.UnaryOp) -> Iterator[tuple[int, int, str, str]]:
        if isinstance(node.op, ast.Not):
            yield *self._span(node), f"({self._text(node.operand)})", "not-dropped"

    def _If(self, node: ast.If | ast.While | ast.IfExp) -> Iterator[tuple[int, int, str, str]]:
        plain = not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)
        if plain:
            yield *self._span(node.test), f"(not ({self._text(node.test)}))", "condition-negated"

    _While = _IfExp = _If

    def _comprehension(self, node: ast.comprehension) -> Iterator[tuple[int, int, str, str]]:
        for test in node.ifs:
            yield *self._span(test), "True", "filter-dropped"

    # --- values ---

    def _Constant(self, node: ast.Constant) -> Iterator[tuple[int, int, str, str]]:
        value, span = node.value, self._span(node)
        if isinstance(value, bool):
            yield *span, str(not value), "constant"
        elif isinstance(value, int | float):
            yield *span, repr(value + 1), "constant"
        elif isinstance(value, str) and not re.search(r"\s", value):
            # Text with blanks is wording, which people review; without, it is a key, a code or a name.
            yield *span, repr(f"XX{value}"), "constant"

    def _BinOp(self, node: ast.BinOp) -> Iterator[tuple[int, int, str, str]]:
        if isinstance(node.op, ast.BitOr):
            yield *self._span(node), f"({self._text(node.left)})", "operand-dropped"
            yield *self._span(node), f"({self._text(node.right)})", "operand-dropped"
        elif type(node.op) in ARITHMETIC:
            token, other = ARITHMETIC[type(node.op)]
            yield from self._between(node.left, node.right, re.escape(token), other, "arithmetic")

    def _Dict(self, node: ast.Dict) -> Iterator[tuple[int, int, str, str]]:
        pairs = [(self._text(k) + ": " if k else "**") + self._text(v) for k, v in _dict_pairs(node)]
        for number in range(len(pairs)):
            rest = pairs[:number] + pairs[number + 1 :]
            yield *self._span(node), "{" + ", ".join(rest) + "}", "entry-dropped"

    def _Call(self, node: ast.Call) -> Iterator[tuple[int, int, str, str]]:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in NAMES:
            end = self._span(node.func)[1]
            yield end - len(name), end, NAMES[name], "function"
        words = [self._text(arg) for arg in node.args]
        keywords = [(f"{k.arg}=" if k.arg else "**") + self._text(k.value) for k in node.keywords]
        for number in range(len(keywords)):
            rest = words + keywords[:number] + keywords[number + 1 :]
            yield *self._span(node), f"{self._text(node.func)}({', '.join(rest)})", "argument-dropped"

    # --- statements ---

    def _Return(self, node: ast.Return) -> Iterator[tuple[int, int, str, str]]:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield *self._span(node), "return None", "returns-none"

    def _Expr(self, node: ast.Expr) -> Iterator[tuple[int, int, str, str]]:
        if isinstance(node.value, ast.Call | ast.YieldFrom | ast.Yield):
            yield *self._span(node), "pass", "statement-dropped"

    def _Raise(self, node: ast.Raise) -> Iterator[tuple[int, int, str, str]]:
        yield *self._span(node), "pass", "statement-dropped"

    _AugAssign = _Continue = _Break = _Raise


def _dict_pairs(node: ast.Dict) -> list[tuple[ast.expr | None, ast.expr]]:
    return list(zip(node.keys, node.values, strict=True))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node, but annotations, decorators, and the class and type that a handler or pattern names."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _is_union(node: ast.expr) -> bool:
    """Whether the value is a type: names with bars between them."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return all(isinstance(side, ast.Name) or _is_union(side) for side in (node.left, node.right))
    return False


def _is_left_out(node: ast.AST) -> bool:
    """Whether nothing below is changed: imports, docstrings, asserts, progress, and text with values in it."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or bool(PROGRESS.match(ast.unparse(node.value)))
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) in ("__all__", "T") or _is_union(node.value)
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
