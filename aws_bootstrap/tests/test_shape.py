"""The house rules of docs/architecture.md, so that a reviewer need not remember them."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not {"resources", "tests"} & set(p.relative_to(PACKAGE).parts))
NAMES = [str(p.relative_to(PACKAGE)) for p in MODULES]
TESTS = sorted((PACKAGE / "tests").rglob("*.py"))

# Who may import what. The sandbox is a world of its own behind the same doors.
DOORS = {
    "boto3": {"aws.py"},
    "botocore": {"aws.py", "aws_clients.py", "aws_loader.py", "aws_parser.py", "region_names.py"},
    "subprocess": {"ssh.py", "ssh_copy.py", "ssh_session.py", "ssh_tunnel.py"},
    "click": {"cli.py", "console.py", "output.py", "views/", "commands/"},
    "yaml": {"output.py"},
    "tabulate": {"output.py"},
    "rich": {"live_steps.py"},
    "matplotlib": {"workflows/price_plot.py"},
}

# Rooms from the outside in; a room imports only rooms to its right in its row.
MAY_IMPORT = {
    "commands": {
        "workflows",
        "views",
        "quota",
        "app",
        "config",
        "models",
        "errors",
        "output",
        "console",
        "retry",
        "commands",
        "defaults",
        "invocation",
        "known_words",
        "settings",
        "settings_file",
        "timings",
        "trust",
    },
    "workflows": {
        "files",
        "settings",
        "settings_file",
        "trust",
        "workflows",
        "ec2",
        "quota",
        "gpu",
        "idleness",
        "ssh",
        "ssh_copy",
        "ssh_tunnel",
        "ssh_bytes",
        "ssh_frame",
        "ssh_session",
        "sshconfig",
        "known_hosts",
        "keys",
        "live_steps",
        "cloud_init",
        "guardian",
        "retry",
        "address",
        "aws",
        "parallel",
        "output",
        "config",
        "defaults",
        "models",
        "outcomes",
        "errors",
        "invocation",
        "paths",
        "timings",
    },
    "ec2": {"ec2", "aws", "retry", "errors", "models", "config", "invocation"},
    "quota": {"aws", "parallel", "errors", "models", "config"},
    "keys": {"ssh", "files", "errors", "config", "models"},
    "ssh": {
        "ssh_errors",
        "ssh_frame",
        "ssh_mount",
        "retry",
        "errors",
        "config",
        "gpu",
        "idleness",
        "invocation",
        "open_files",
        "paths",
        "timings",
    },
    "ssh_copy": {"ssh_bytes", "ssh_frame", "ssh_tunnel", "errors", "models"},
    "ssh_mount": {"ssh_frame", "errors"},
    "ssh_tunnel": {"ssh", "ssh_errors", "ssh_frame", "errors", "timings"},
    "ssh_errors": {"ssh_frame", "errors", "invocation"},
    "ssh_frame": set(),
    "ssh_bytes": {"ssh_frame"},
    "ssh_session": {"ssh", "ssh_errors", "errors"},
    "sshconfig": {"sshconfig_block", "files", "errors"},
    "sshconfig_block": {"defaults"},
    "known_hosts": {"files", "sshconfig"},
    "guardian": {"cloud_init", "models"},
    "aws": {
        "aws_clients",
        "aws_errors",
        "parallel",
        "region_names",
        "silence",
        "timings",
        "errors",
        "models",
        "config",
    },
    "aws_clients": {"aws_loader", "aws_parser", "crt"},
    "aws_loader": set(),
    "aws_parser": set(),
    "address": {"errors"},
    "aws_errors": {"errors", "invocation"},
    "region_names": {"errors", "invocation"},
    "crt": set(),
    "timings": {"models"},
    "app": {
        "address",
        "aws",
        "ssh",
        "keys",
        "outcomes",
        "output",
        "console",
        "invocation",
        "models",
        "errors",
        "paths",
        "settings",
        "timings",
    },
    "next_config": {"models", "next_commands", "command_lines"},
    "output": {
        "console",
        "live_steps",
        "views",
        "models",
        "errors",
        "next_commands",
        "next_clusters",
        "next_config",
        "next_images",
        "next_jobs",
        "next_power",
        "next_runs",
        "next_volumes",
        "command_lines",
        "timings",
    },
    "console": {"invocation", "live_steps", "models"},
    "live_steps": set(),
    "views": {
        "views",
        "models",
        "gpu",
        "invocation",
        "next_commands",
        "next_clusters",
        "next_config",
        "next_images",
        "next_jobs",
        "next_offers",
        "next_power",
        "next_runs",
        "next_volumes",
        "command_lines",
    },
    "next_commands": {"models", "invocation", "command_lines", "next_offers"},
    "next_volumes": {"next_commands", "models", "command_lines"},
    "next_offers": {"models", "command_lines"},
    "next_jobs": {"models", "next_commands", "command_lines"},
    "next_runs": {"models", "next_commands", "command_lines"},
    "next_clusters": {"next_commands", "models", "command_lines"},
    "next_power": {"next_commands", "models", "command_lines"},
    "next_images": {"models", "next_commands", "command_lines", "defaults"},
    "command_lines": {"models", "invocation"},
    "models": {"models", "gpu", "idleness"},
    "job_outcomes": {"models", "errors", "invocation"},
    "outcomes": {"job_outcomes", "models", "errors", "invocation", "outcomes_clusters"},
    "outcomes_clusters": {"models", "errors", "invocation"},
    "cloud_init": {"config"},
    "gpu": set(),
    "known_words": set(),
    "idleness": set(),
    "retry": set(),
    "startup": set(),
    "open_files": set(),
    "parallel": set(),
    "silence": set(),
    "errors": {"models", "invocation"},
    "invocation": set(),
    "config": {"defaults"},
    "defaults": set(),
    "paths": set(),
    "settings": {"settings_file", "trust", "errors", "invocation", "paths"},
    "settings_file": {"errors"},
    "trust": {"files"},
    "files": set(),
}


@functools.cache
def tree(path: Path) -> ast.Module:
    """The file's syntax tree, read once: many tests look at each file."""
    return ast.parse(path.read_text())


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(path: Path, *, for_types: bool = False) -> list[str]:
    """Dotted names imported, ours from the package's root; what only the type checker sees counts `for_types` alone."""
    found = []
    package = ("aws_bootstrap", *path.relative_to(PACKAGE).parts[:-1])
    todo: list[ast.AST] = [tree(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found += [f"{module}.{alias.name}" for alias in node.names]
        todo += [child for child in ast.iter_child_nodes(node) if for_types or not is_type_checking(child)]
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_files_and_functions_are_small(path):
    assert len(path.read_text().splitlines()) <= 400
    assert [(f.name, length(f)) for f in functions(path) if length(f) > 40] == []


def test_functions_are_small_as_a_rule():
    lengths = sorted(length(f) for path in MODULES for f in functions(path))
    assert statistics.median(lengths) <= 8
    assert lengths[round(0.95 * (len(lengths) - 1))] <= 25


DENSE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.Lambda)


def density(paths: list[Path]) -> float:
    """Comprehensions, ternaries and lambdas per 1,000 lines of code: what has to be decoded instead of read."""
    expressions, lines = 0, 0
    for path in paths:
        expressions += sum(isinstance(node, DENSE) for node in ast.walk(tree(path)))
        stripped = [line.strip() for line in path.read_text().splitlines()]
        lines += sum(bool(line) and not line.startswith("#") for line in stripped)
    return 1000 * expressions / lines


def test_statements_are_plain():
    tool = [path for path in MODULES if room(path) != "sandbox"]
    sandbox = [path for path in MODULES if room(path) == "sandbox"]
    assert (density(tool) <= 45, density(sandbox) <= 60) == (True, True), (density(tool), density(sandbox))


def module_name(path: Path) -> str:
    parts = ("aws_bootstrap", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def test_no_files_import_each_other_in_a_circle():
    """Imports for the type checker count: who needs the other's names to be understood cannot be read first."""
    names = {module_name(path): path for path in MODULES}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        named = imports(path, for_types=True)
        used = {one if one in names else one.rpartition(".")[0] for one in named}
        graph[name] = (used & names.keys()) - {name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_its_door(library):
    users = {
        str(p.relative_to(PACKAGE))
        for p in MODULES
        if room(p) != "sandbox" and any(i.split(".")[0] == library for i in imports(p))
    }
    strangers = {
        u for u in users if not any(u == door or (door.endswith("/") and u.startswith(door)) for door in DOORS[library])
    }
    assert strangers == set()


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_point_one_way(path):
    here = room(path)
    if here not in MAY_IMPORT:
        assert here in {"__init__", "__main__", "cli", "sandbox"}
        return
    parts = [i.split(".") for i in imports(path) if i.startswith("aws_bootstrap.")]
    assert {p[1] for p in parts} <= MAY_IMPORT[here] | ({here} if path.parent != PACKAGE else set())


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room(p) != "sandbox"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_only_cli_knows_the_sandbox(path):
    users = [i for i in imports(path) if i.startswith("aws_bootstrap.sandbox")]
    assert users == [] or path.name == "cli.py"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    heavy = {"boto3", "botocore", "tomlkit", "tomllib", "yaml", "tabulate", "moto", "asyncssh", "matplotlib"}
    top = [n for n in tree(path).body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {(a.name if isinstance(n, ast.Import) else n.module or "").split(".")[0] for n in top for a in n.names}
    # These extend classes of botocore, and are themselves imported where they are used.
    extensions = ("aws_loader.py", "aws_parser.py")
    assert not names & heavy or room(path) == "sandbox" or path.name in extensions


def test_only_the_doors_print():
    printers = {"click.echo", "click.secho", "click.confirm", "click.prompt", "click.echo_via_pager"}
    for path in MODULES:
        if str(path.relative_to(PACKAGE)) in {"console.py"} or room(path) == "sandbox":
            continue
        calls = {ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)}
        assert not (printers | {"print"}) & calls, path
        assert not {c for c in calls if c.startswith(("sys.stdout", "sys.stderr", "traceback.print"))}, path
        assert not printers & set(imports(path)), path


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_printed_commands_begin_with_a_mark(path):
    """A command written out works for nobody who has a profile, `uv run` or `--sandbox`: see invocation.py."""
    boxes = "launch|setup|stop|start|rename|volume|status|costs|access|terminate|cleanup|bake|image"
    verbs = f"{boxes}|prices|list|quota|config|completion"
    sandbox_verbs = "start|stop|status|env|fault|log|account|interrupt|reset"
    written_out = re.compile(rf"aws-bootstrap (--sandbox )?({verbs}|sandbox ({sandbox_verbs}))\b")
    docstrings = docstrings_of(tree(path))
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            found += [match.group() for match in written_out.finditer(node.value)]
    assert found == []


def docstrings_of(module: ast.Module) -> list[ast.AST]:
    """Return the docstrings of the module, its classes and its functions: help texts have the plain name."""
    bodies = [node.body for node in ast.walk(module) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return [body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)]


def test_fields_are_explained_by_comments():
    """A bare string below a field or constant is read by no tool; `#:` above it is."""
    found = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                found += [f"{path.name}:{below.lineno}" for above, below in pairwise(body) if is_bare(above, below)]
    assert found == []


def is_bare(above: ast.AST, below: ast.AST) -> bool:
    """Return whether a string is the statement after an assignment."""
    is_string = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    return isinstance(above, ast.Assign | ast.AnnAssign) and is_string


def test_every_public_function_says_what_it_does():
    rooms = [p for p in MODULES if room(p) != "sandbox"]
    assert [f"{path.relative_to(PACKAGE)}:{f.name}" for path in rooms for f in undocumented(tree(path))] == []


def undocumented(node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions and methods without a docstring; functions inside functions are nobody's business."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            found += undocumented(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            found += [child] if not child.name.startswith("_") and not ast.get_docstring(child) else []
    return found


#: Where a command of the AWS CLI begins: a string, a line of it, or what follows a colon; and the rest of its line.
AWS_COMMAND = re.compile(r"(?:^|\\n|: )(aws [a-z].*?)(?=\\n|$)", re.MULTILINE)
#: For any profile, or for that of somebody else.
WITHOUT_PROFILE = (
    "aws configure list-profiles",
    "aws configure{}",
    "aws help config-vars",
    "aws iam create-service-linked-role",
    "aws login{}",
)


def texts(path: Path) -> Iterator[str]:
    """Each string of the file but docstrings, its parts joined; of what it has in braces the expression."""
    whole = tree(path)
    inner = {id(part) for node in ast.walk(whole) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docstrings = {id(node.value) for node in ast.walk(whole) if isinstance(node, ast.Expr)}
    for node in ast.walk(whole):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part_of_text(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inner | docstrings):
            yield node.value


def part_of_text(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    return str(ast.literal_eval(part))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_printed_commands_of_the_aws_cli_name_the_profile(path):
    unmarked = []
    for text in texts(path):
        for command in AWS_COMMAND.findall(text):
            if "{PROFILE}" not in command and not command.startswith(WITHOUT_PROFILE):
                unmarked.append(command)
    assert unmarked == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_every_room_states_its_rule(path):
    assert ast.get_docstring(tree(path)) or not path.read_text().strip()


def test_tests_patch_nothing_of_ours():
    assert [p.name for p in TESTS if "mock." + "patch" in p.read_text()] == []
    assert [f"{p.name}: {target}" for p in TESTS for target in patched(p)] == []


def patched(path: Path) -> list[str]:
    """What of ours a test replaces with `setattr`: by name, or by a module or class that it imports from us."""
    ours = {i.split(".")[-1] for i in imports(path) if i.startswith("aws_bootstrap")} | {"aws_bootstrap"}
    calls = (n for n in ast.walk(tree(path)) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith(".setattr"))
    targets = (ast.unparse(call.args[0]).strip("'\"") for call in calls if call.args)
    return [target for target in targets if target.split(".")[0] in ours]
