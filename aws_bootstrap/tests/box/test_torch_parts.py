"""The parts of choosing a PyTorch, one by one: what fits, what uv and the index are asked, and what is told of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import FakeBox

WHEELS = "https://download.pytorch.org/whl"


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path / "box")


def torch(box: FakeBox, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run shell code with torch.sh sourced; it must print no error."""
    done = box.shell(f"uv=uv; {code}", "lib.sh", "torch.sh", **more)
    assert done.stderr == ""
    return done


# --- What fits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "tag", "fits"),
    [
        ("2.0+cu128 0.2+cu128 none", "cu128", True),
        ("2.0+cu128 0.2+cu128 12.8", "cu126", False),
        # torch and torchvision of one build.
        ("2.0+cu126 0.2+cu128 12.8", "cu128", False),
        ("2.0+cu128 0.2+cu126 12.8", "cu128", False),
        ("2.0+cu128 0.2 12.8", "cu128", False),
        ("2.0 0.2+cu128 12.8", "cu128", False),
        # The package registry's.
        ("2.0 0.2 12.8", "cu128", True),
        ("2.0 0.2 12.8", "cu126", False),
        ("2.0 0.2 none", "cu128", False),
        # The default: of no CUDA index.
        ("2.0 0.2 12.8", "default", True),
        ("2.0+cpu 0.2+cpu none", "default", True),
        ("2.0+cu128 0.2 none", "default", False),
        ("2.0 0.2+cu128 none", "default", False),
        ("2.0+cu128 0.2+cu128 none", "default", False),
        # No torchvision: it fits torch alone, if anybody asks for that.
        ("2.0+cu128 none 12.8", "cu128", False),
        ("2.0+cu128 none 12.8", "cu128 alone", True),
        ("2.0+cu126 none 12.6", "cu128 alone", False),
        ("2.0 none 12.8", "cu128 alone", True),
        ("2.0 none 12.8", "default alone", True),
        ("2.0+cu128 none 12.8", "default alone", False),
        ("2.0+cu126 0.2+cu128 12.6", "cu128 alone", False),
        # No torch.
        ("", "cu128", False),
        ("", "default", False),
        ("", "default alone", False),
    ],
)
def test_which_build_fits_which_tag(box, there, tag, fits):
    shown = torch(box, f"installed() {{ echo '{there}'; }}; if fits {tag}; then echo fits; else echo $?; fi")
    assert shown.stdout == ("fits\n" if fits else "1\n")


# --- What uv is asked --------------------------------------------------------------------------------------------


def test_a_tag_is_asked_for_by_a_project_that_names_its_index_for_two_packages_alone(box):
    asked = torch(box, 'require cu128; echo "${REQUIRED[*]}"')
    project = box.home / "scratch" / "pyproject.toml"
    assert (asked.returncode, asked.stdout) == (0, f"-r {project}\n")
    assert project.read_text() == (
        '[project]\nname = "box"\nversion = "0"\ndependencies = ["torch", "torchvision"]\n'
        f'[[tool.uv.index]]\nname = "pytorch"\nurl = "{WHEELS}/cu128"\nexplicit = true\n[tool.uv.sources]\n'
        'torch = { index = "pytorch" }\ntorchvision = { index = "pytorch" }\n'
    )


def test_the_default_build_is_asked_for_by_its_names(box):
    asked = torch(box, 'require default; echo "${REQUIRED[*]}"')
    assert (asked.returncode, asked.stdout) == (0, "torch torchvision\n")
    assert not (box.home / "scratch" / "pyproject.toml").exists()


@pytest.mark.parametrize(
    ("answers", "status"),
    [("0", 0), ("1", 1), ("2 0", 0), ("2 1", 1), ("2 2 0", 2), ("101 2 0", 2)],
)
def test_an_index_that_does_not_answer_is_asked_once_more_after_a_pause(box, answers, status):
    (box.home / "answers").write_text(" ".join(["before", *answers.split()]).replace(" ", "\n"))
    box.tool("uv", "echo it says; sed -i 1d ~/answers; exit $(head -n 1 ~/answers)")
    box.tool("sleep", "exit 0")
    done = torch(box, "require default; resolve --no-deps", SETUP_RETRY_PAUSE="7")
    asked = 1 if answers in ("0", "1") else 2
    call = f"uv pip install --python {box.home}/venv/bin/python --dry-run --reinstall-package torch"
    call += " --reinstall-package torchvision --no-deps torch torchvision"
    assert box.calls("uv") == [call] * asked
    assert box.calls("sleep") == ["sleep 7"] * (asked - 1)
    said = ["it says", "attempt 1: the index does not answer", "it says", "attempt 2: the index does not answer"]
    shown = done.stdout.splitlines()
    assert done.returncode == status, "the log has what uv said"
    assert shown == said[: 2 * asked - (status < 2)], "the log has what uv said"


def test_the_version_of_torch_alone_is_read_from_what_uv_would_do(box):
    said = "Resolved 2 packages\\n - torch==1.9\\n + torch==2.9.0+cu128\\n + torchvision==0.24\\n"
    done = torch(box, f"printf '{said}' >\"$STEP_TMP/resolved\"; resolved_torch")
    assert done.stdout == "2.9.0+cu128\n"


@pytest.mark.parametrize(
    ("alone", "with_needs", "status"),
    [("0", "0", 0), ("1", "0", 1), ("2", "0", 2), ("0", "1", 1), ("0", "2", 3), ("0", "101", 3)],
)
def test_a_tag_is_tried_alone_and_with_what_it_needs(box, alone, with_needs, status):
    """PyTorch's own index answers for the first, the default one for the second."""
    box.tool("uv", "if [[ $* == *--no-deps* ]]; then says=2.1; else says=2.0; fi; echo ' + torch=='$says")
    box.tool("sleep", "exit 0")
    box.faults(("--no-deps", int(alone), " + torch==2.1"), ("torchvision -r", int(with_needs), " + torch==2.0"))
    done = torch(box, 'try_tag cu128 && status=0 || status=$?; echo "${NEWEST:-} ${PLANNED:-} $status"')
    versions = "2.1 2.0" if alone == "0" else " "
    assert done.stdout.splitlines()[-1] == f"{versions} {status}"
    project = f"-r {box.home}/scratch/pyproject.toml"
    assert all(call.endswith(project) for call in box.calls("uv"))
    assert ["--no-deps" in call for call in dict.fromkeys(box.calls("uv"))] == (
        [True, False] if alone == "0" else [True]
    )


@pytest.mark.parametrize(
    ("had", "now", "newest", "said"),
    [
        ("", "2.0", "2.0", []),
        ("1.0", "2.0", "2.0", []),
        ("2.0", "2.0", "2.0", []),
        (
            "",
            "2.0",
            "2.1",
            ["warning torch 2.1 is the newest for cu128, but its dependencies are not available: installed 2.0"],
        ),
        ("1.0", "1.0", "2.0", ["note kept torch 1.0, which fits; a new environment would get 2.0"]),
        ("1.0", "1.5", "2.0", ["warning torch 2.0 was planned, but uv installed 1.5"]),
    ],
)
def test_what_differs_from_the_plan_is_reported(box, had, now, newest, said):
    torch(box, f"NEWEST={newest} PLANNED=2.0; compare_with_plan '{had}' {now} cu128")
    assert box.reported() == said


# --- An index that refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "asked", "refuses"),
    [
        ({"128": "403", "126": "403"}, 2, True),
        ({"128": "403"}, 1, True),
        ({"128": "200", "126": "403"}, 1, False),
        ({"128": "404", "126": "403"}, 1, False),
        ({"128": "503", "126": "404"}, 2, False),
        ({}, 0, False),
    ],
)
def test_an_index_refuses_if_it_answers_for_no_tag(box, answers, asked, refuses):
    for tag, answer in answers.items():
        (box.home / f"answer{tag}").write_text(answer)
    box.tool("curl", 'page=${!#}; page=${page%/torch/}; cat "$HOME/answer${page##*/cu}"')
    done = torch(box, f'if index_refuses {" ".join(answers)}; then echo "refuses $ANSWER"; fi')
    assert done.stdout == ("refuses 403\n" if refuses else "")
    assert box.calls("curl") == [
        f"curl -sL -o /dev/null -m 20 -w %{{http_code}} {WHEELS}/cu{tag}/torch/" for tag in list(answers)[:asked]
    ]


def test_an_index_that_cannot_be_reached_refuses(box):
    box.tool("curl", "printf 000; exit 7")
    assert torch(box, 'index_refuses 128; echo "$ANSWER"').stdout == "000\n"


# --- The step ----------------------------------------------------------------------------------------------------

# uv, with the answers of a test: what it would install alone and with all needs, by tag; what is there afterwards.
UV = """
tag=default
for word in "$@"; do [[ $word != */pyproject.toml ]] || tag=$(sed -n 's|^url = ".*/\\(.*\\)"|\\1|p' "$word"); done
case $* in
  *--dry-run*) [[ ! -e ~/none-of-$tag ]] || exit 1; echo " + torch==2.0+$tag" ;;
  "pip install"*) echo "for $tag" >>~/calls; [[ ! -e ~/after ]] || cp ~/after ~/there ;;
esac"""


@pytest.fixture
def quick(box: FakeBox) -> FakeBox:
    """A box whose venv answers at once: its Python is 3.12.3, and what is in it stands in ~/there."""
    (box.home / "venv" / "bin").mkdir(parents=True)
    box.tool("python", "echo 3.12.3")
    (box.bin / "python").rename(box.home / "venv" / "bin" / "python")
    library = box.folder / "setup.d" / "torch.sh"
    library.write_text(library.read_text() + 'installed() { cat "$HOME/there" 2>/dev/null; }\n')
    box.tool("uv", UV)
    box.tool("curl", "printf 404")
    return box


def pytorch(box: FakeBox, toolkit: str = "12.8", driver: str = "13.2", after: str = "2.0+cu128 0.2+cu128 12.8"):
    """Run the step where uv would leave AFTER in the venv; its status and report."""
    state = box.home / ".aws-bootstrap" / "state"
    state.mkdir(exist_ok=True)
    (state / "gpu").write_text(f"state works\ntoolkit {toolkit}\ndriver {driver}\narch sm_75\n")
    (box.home / "after").write_text(f"{after}\n" if after else "")
    done, report = box.step("pytorch", KNOWN_CUDA_TAGS_LIST="118 126 128 130")
    assert done.stderr == ""
    return done.returncode, report


def notes(box: FakeBox) -> Path:
    return box.home / "venv" / ".aws-bootstrap"


def installs(box: FakeBox) -> list[str]:
    return [call for call in box.calls("uv pip install") if "--dry-run" not in call]


def test_a_first_install(quick):
    assert pytorch(quick) == (0, ["fact torch 2.0+cu128", "fact cuda_tag cu128", "changed", "note cu128"])
    python, project = quick.home / "venv" / "bin" / "python", quick.home / "scratch" / "pyproject.toml"
    assert installs(quick) == [f"uv pip install --python {python} -r {project}"]
    assert quick.calls("uv pip check") == [f"uv pip check --python {python}"]
    assert (notes(quick) / "pytorch").read_text() == "12.8 3.12.3 cu128\n"


def test_a_second_step_looks_and_asks_nobody(quick):
    pytorch(quick)
    quick.forget_calls()
    assert pytorch(quick) == (0, ["fact torch 2.0+cu128", "fact cuda_tag cu128"])
    assert quick.calls("uv") == []


@pytest.mark.parametrize("stamp", ["12.6 3.12.3 cu128", "12.8 3.12.4 cu128", "12.8 3.12.3 cu126", "12.8", ""])
def test_a_note_of_another_cuda_python_or_build_is_not_believed(quick, stamp):
    pytorch(quick)
    (notes(quick) / "pytorch").write_text(f"{stamp}\n")
    quick.forget_calls()
    assert pytorch(quick)[0] == 0
    assert len(installs(quick)) == 1
    assert (notes(quick) / "pytorch").read_text() == "12.8 3.12.3 cu128\n"


def test_an_install_that_was_cut_short_is_done_again_and_reported(quick):
    pytorch(quick)
    (notes(quick) / "pytorch.installing").touch()
    quick.forget_calls()
    assert pytorch(quick)[1].count("changed") == 1
    assert len(installs(quick)) == 1


@pytest.mark.parametrize(
    ("there", "after", "said"),
    [
        ("1.0+cu128 0.1+cu128 12.8", "1.0+cu128 0.1+cu128 12.8", []),
        ("1.0+cu128 none 12.8", "1.0+cu128 0.1+cu128 12.8", ["changed"]),
    ],
)
def test_a_torch_of_the_right_build_is_kept_whatever_its_version(quick, there, after, said):
    (quick.home / "there").write_text(f"{there}\n")
    kept = "note kept torch 1.0+cu128, which fits; a new environment would get 2.0+cu128"
    facts = ["fact torch 1.0+cu128", "fact cuda_tag cu128"]
    assert pytorch(quick, after=after) == (0, [*facts, *said, "note cu128", kept])
    assert "--reinstall" not in installs(quick)[0]


def test_a_torch_of_another_build_is_replaced(quick):
    (quick.home / "there").write_text("2.0+cu126 0.2+cu126 12.6\n")
    status, report = pytorch(quick)
    assert (status, report[2:]) == (0, ["changed", "note replaced torch 2.0+cu126", "note cu128"])
    assert " --reinstall-package torch --reinstall-package torchvision -r " in installs(quick)[0]


@pytest.mark.parametrize(
    ("toolkit", "driver", "tag", "said"),
    [
        ("12.8", "13.0", "cu128", []),
        ("", "12.8", "cu128", []),
        ("12.8", "", "cu128", []),
        (
            "13.0",
            "12.8",
            "cu128",
            ["note CUDA 12.8 is the newest that the driver supports; the toolkit is 13.0"],
        ),
    ],
)
def test_the_lower_of_toolkit_and_driver_decides(quick, toolkit, driver, tag, said):
    status, report = pytorch(quick, toolkit, driver)
    assert (status, report[3:]) == (0, [f"note {tag}", *said])
    assert f"for {tag}" in quick.calls()


def test_a_tag_without_wheels_is_passed_over(quick):
    (quick.home / "none-of-cu128").touch()
    status, report = pytorch(quick, after="2.0+cu126 0.2+cu126 12.6")
    assert (status, report[-1]) == (0, "note cu126")
    assert quick.calls("for") == ["for cu126"]


@pytest.mark.parametrize(
    ("toolkit", "said"),
    [
        ("", "warning no CUDA on this box: installed PyTorch's default build"),
        ("11.4", "warning no PyTorch wheels for CUDA 11.4 and Python 3.12.3: installed the default build"),
        ("11.8", "warning no PyTorch wheels for CUDA 11.8 and Python 3.12.3: installed the default build"),
    ],
)
def test_where_no_tag_can_be_had_the_default_build_is_installed(quick, toolkit, said):
    """Also on a box for which a setup before found a CUDA."""
    notes(quick).mkdir()
    (notes(quick) / "pytorch").write_text("12.8 3.12.3 cu128\n")
    (quick.home / "none-of-cu118").touch()
    assert pytorch(quick, toolkit, "", after="2.0 0.2 12.8") == (0, ["fact torch 2.0", "changed", said])
    assert installs(quick)[-1].endswith("/python torch torchvision")
    assert pytorch(quick, toolkit, "")[1] == ["fact torch 2.0"]


@pytest.mark.parametrize(
    ("fault", "after", "said"),
    [
        (("--no-deps", 2, ""), "", f"the PyTorch wheel index does not answer: {WHEELS}/cu128"),
        (("dry-run.* torchvision -r", 2, ""), "", "the package index does not answer for PyTorch's dependencies"),
        (("venv/bin/python -r", 2, ""), "", "uv could not install PyTorch (cu128)"),
        (
            ("^never", 2, ""),
            "2.0+cu126 0.2+cu126 12.6",
            "the installed PyTorch is not the planned one (cu128): 2.0+cu126 0.2+cu126 12.6",
        ),
        (("^never", 2, ""), "", "the installed PyTorch is not the planned one (cu128):"),
    ],
)
def test_what_stops_the_step_is_said_in_one_sentence(quick, fault, after, said):
    quick.faults(fault)
    state = quick.home / ".aws-bootstrap" / "state"
    state.mkdir()
    (state / "gpu").write_text("toolkit 12.8\ndriver 12.8\n")
    (quick.home / "after").write_text(f"{after}\n" if after else "")
    done, report = quick.step("pytorch", KNOWN_CUDA_TAGS_LIST="118 126 128 130")
    assert (done.returncode, report) == (1, [f"error {said}"])
    assert not (notes(quick) / "pytorch").exists()


def test_an_index_that_refuses_every_tag_stops_it_too(quick):
    for tag in ("118", "126", "128"):
        (quick.home / f"none-of-cu{tag}").touch()
    quick.tool("curl", "printf 403")
    assert pytorch(quick) == (1, [f"error the PyTorch wheel index refuses to answer (HTTP 403): {WHEELS}"])
    assert [call.split("/")[-3] for call in quick.calls("curl")] == ["cu128", "cu126", "cu118"]


def test_packages_that_do_not_fit_each_other_are_reported(quick):
    quick.faults(("^uv pip check", 1, ""))
    state = quick.home / ".aws-bootstrap" / "state"
    state.mkdir()
    (state / "gpu").write_text("toolkit 12.8\ndriver 12.8\n")
    (quick.home / "after").write_text("2.0+cu128 0.2+cu128 12.8\n")
    done, report = quick.step("pytorch", KNOWN_CUDA_TAGS_LIST="128")
    told = "warning packages in ~/venv conflict; show them with: uv pip check"
    assert done.returncode == 0
    assert report[-2:] == ["note cu128", told]


def test_a_step_that_lacks_what_all_share_ends_there(box):
    said, status = box.step_without_lib("pytorch")
    assert said.endswith("lib.sh: No such file or directory")
    assert status == "status 1"
    assert box.calls() == []
