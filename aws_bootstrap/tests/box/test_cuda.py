"""Which CUDA a box has and which wheel tags fit it: the shell functions over what the tools print."""

from __future__ import annotations

import re
import subprocess

import pytest

from aws_bootstrap.resources.run_steps import read_step
from aws_bootstrap.tests.box.standins import RESOURCES, TOOLS, FakeBox
from aws_bootstrap.tests.box.texts import NVCC, NVIDIA_SMI

SETUP = (RESOURCES / "remote_setup.sh").read_text()


def cuda(code: str, text: str = "") -> str:
    """Run shell code with cuda.sh sourced and the text on stdin; its stdout. It must print no error."""
    command = ["bash", "-c", f'set -euo pipefail; source "{RESOURCES}/setup.d/cuda.sh"; {code}']
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def known_tags() -> str:
    found = re.search(r"^KNOWN_CUDA_TAGS=\(([0-9 ]+)\)", SETUP, re.MULTILINE)
    assert found, "KNOWN_CUDA_TAGS is where people look for it"
    return found[1]


@pytest.mark.parametrize("version", NVCC)
def test_nvcc(version):
    assert cuda("parse_nvcc", NVCC[version]) == version


@pytest.mark.parametrize("version", NVIDIA_SMI)
def test_nvidia_smi(version):
    assert cuda("parse_nvidia_smi", NVIDIA_SMI[version]) == ("" if version == "N/A" else version)


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("11.4", ""),
        ("11.8", "118"),
        ("12.0", "118"),
        ("12.1", "121 118"),
        ("12.2", "121 118"),
        ("12.4", "124 121 118"),
        ("12.5", "124 121 118"),
        ("12.6", "126 124 121 118"),
        ("12.8", "128 126 124 121 118"),
        ("12.9", "129 128 126 124 121 118"),
        ("12.10", "129 128 126 124 121 118"),
        ("13.0", "130 129 128 126 124 121 118"),
        ("13.1", "130 129 128 126 124 121 118"),
        ("13.2", "132 130 129 128 126 124 121 118"),
        ("14.0", "132 130 129 128 126 124 121 118"),
    ],
)
def test_tags_not_above_the_toolkit_newest_first(version, tags):
    assert cuda(f"candidate_tags {version} {known_tags()}").split() == tags.split()


@pytest.fixture
def box(tmp_path):
    return FakeBox(tmp_path / "box")


def gpu(box: FakeBox, **more: str) -> tuple[int, list[str], dict[str, str]]:
    """Run the step gpu: its status, its report, what it noted for the other steps."""
    done, report = box.step("gpu", **more)
    noted = (box.home / ".aws-bootstrap" / "state" / "gpu").read_text()
    return done.returncode, report, dict(line.split(" ", 1) for line in noted.splitlines())


def test_toolkit_and_driver_are_found_and_noted(box):
    box.tool("nvcc", f"cat <<'TEXT'\n{NVCC['12.4']}TEXT")
    status, report, noted = gpu(box)
    assert status == 0
    assert "fact cuda_version 12.4" in report
    assert noted == {"state": "works", "toolkit": "12.4", "driver": "12.8", "arch": "sm_75"}


def test_without_a_toolkit_that_answers_the_driver_counts(box):
    box.tool("nvcc", "exit 1")
    status, report, noted = gpu(box)
    assert status == 0
    assert "fact cuda_version 12.8" in report
    assert noted["toolkit"] == ""
    assert "warning no CUDA toolkit (nvcc) on this box: extensions will not compile" in report


def test_a_driver_that_comes_up_late_is_waited_for(box):
    late = f"""echo >>~/asked
[[ $(wc -l <~/asked) -gt 3 ]] || {{ echo 'Failed to initialize NVML: Driver Not Loaded'; exit 9; }}
{TOOLS["nvidia-smi"]}"""
    box.tool("nvidia-smi", late)
    status, report, noted = gpu(box, SETUP_RETRY_SECONDS="20")
    assert status == 0
    assert "passed" in report
    assert noted["state"] == "works"


def test_a_driver_may_take_two_minutes_within_the_limit_of_the_step():
    """Longer than any that was seen to come up; the last question begins at the end of that time."""
    script = RESOURCES / "setup.d" / "10-gpu.sh"
    [bound] = re.findall(
        r"^DRIVER_SECONDS=\$\(\(RETRY_SECONDS < (\d+) \? RETRY_SECONDS : \1\)\)$", script.read_text(), re.MULTILINE
    )
    [question] = re.findall(r"SETUP_SMI_LIMIT:-(\d+)", (script.parent / "cuda.sh").read_text())
    [patience] = re.findall(r"SETUP_RETRY_SECONDS:-(\d+)", (script.parent / "lib.sh").read_text())
    assert int(patience) >= int(bound) >= 120
    assert read_step(script).limit >= int(bound) + int(question)


def test_a_card_without_a_working_driver_is_a_failure(box):
    box.tool("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    status, report, noted = gpu(box)
    assert status == 1
    assert report[-1] == "error nvidia-smi finds no working GPU"
    assert noted == {"state": "broken", "toolkit": "12.8", "driver": "", "arch": "sm_75"}


def test_a_driver_that_hangs_costs_a_bounded_time_once(box):
    box.tool("nvidia-smi", "sleep 600")
    status, report, noted = gpu(box, SETUP_SMI_LIMIT="0.3", SETUP_RETRY_SECONDS="20")
    assert status == 1
    assert "nvidia-smi did not answer within 0.3 s" in report[-1]
    assert len(box.calls("nvidia-smi")) == 2
    assert noted["state"] == "broken"
    # Nobody after it asks again.
    assert "-arch=sm_75" in box.step("vscode")[0].stdout + (box.home / "workspace/.vscode/tasks.json").read_text()
    box.step("venv")
    assert "warning no working GPU: PyTorch was not tested on one" in box.step("cuda-test")[1]
    assert len(box.calls("nvidia-smi")) == 2


def test_a_toolkit_that_hangs_does_not_hold_up_the_step(box):
    box.tool("timeout", '[[ "$*" != *nvcc* ]] || exit 124; exec /usr/bin/timeout "$@"')
    status, _, noted = gpu(box)
    assert status == 0
    assert noted["toolkit"] == ""


@pytest.mark.parametrize("driver", ["echo 'NVIDIA-SMI has failed'; exit 9", None])
def test_a_box_without_a_card_is_reported_and_no_failure(box, driver):
    """A t3.medium, for trying things out."""
    box.tool("lspci", "exit 0")
    if driver:
        box.tool("nvidia-smi", driver)
    else:
        (box.bin / "nvidia-smi").unlink()
    status, report, noted = gpu(box, SETUP_RETRY_SECONDS="20")
    assert status == 0
    assert noted["state"] == "absent"
    assert report[-1] == "warning no NVIDIA GPU on this instance type: programs that need a GPU do not run here"


def test_a_card_without_a_driver_is_a_failure(box):
    (box.bin / "nvidia-smi").unlink()
    status, report, _ = gpu(box)
    assert status == 1
    assert "no NVIDIA driver on this box" in report[-1]


SEEN = """case "$*" in
  *compute_cap*) echo 8.6 ;;
  *--query-gpu*) printf '%s\\n' 'NVIDIA A10G, 570.86.15, 23028 MiB' 'NVIDIA A10G, 570.86.15, 23028 MiB' ;;
  *) echo '| NVIDIA-SMI 570.86.15   Driver Version: 570.86.15   CUDA Version: 12.8 |' ;;
esac"""
NO_TOOLKIT = "warning no CUDA toolkit (nvcc) on this box: extensions will not compile"
CARDS = "note NVIDIA A10G, 570.86.15, 23028 MiB;NVIDIA A10G, 570.86.15, 23028 MiB"


@pytest.mark.parametrize(
    ("toolkit", "driver", "said"),
    [
        ("12.4", "12.8", ["fact cuda_version 12.4", CARDS, "passed"]),
        ("12.4", "N/A", ["fact cuda_version 12.4", CARDS, "passed"]),
        ("", "12.8", ["fact cuda_version 12.8", CARDS, "passed", NO_TOOLKIT]),
        ("", "N/A", [CARDS, "passed", NO_TOOLKIT]),
    ],
)
def test_what_a_step_that_passes_asks_and_says(box, toolkit, driver, said):
    box.tool("nvcc", f"cat <<'TEXT'\n{NVCC[toolkit]}TEXT" if toolkit else "exit 1")
    box.tool("nvidia-smi", SEEN.replace("CUDA Version: 12.8", f"CUDA Version: {driver}"))
    status, report, noted = gpu(box)
    assert (status, report) == (0, said)
    known = driver.replace("N/A", "")
    assert noted == {"state": "works", "toolkit": toolkit, "driver": known, "arch": "sm_86"}
    assert box.calls("nvidia-smi") == [
        "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader",
        "nvidia-smi ",
        "nvidia-smi --query-gpu=compute_cap --format=csv,noheader",
    ]


def answers_from(box: FakeBox, question: int, before: str) -> None:
    """Let nvidia-smi answer from that question on. Until then `timeout` sees what BEFORE does."""
    count = "[[ $(grep -c '^timeout.* nvidia-smi' ~/calls) -lt NUMBER ]]".replace("NUMBER", str(question))
    box.tool("timeout", f'if [[ $* == *nvidia-smi* ]] && {count}; then {before}; fi; exec /usr/bin/timeout "$@"')


HANGS = "error nvidia-smi did not answer within 30 s: the driver or the card hangs; try: sudo reboot"
FAILS = "error nvidia-smi finds no working GPU"


@pytest.mark.parametrize(
    ("smi_status", "patience", "asked", "said"),
    [(124, 20, 2, HANGS), (137, 20, 2, HANGS), (124, 0, 1, HANGS), (125, 0, 1, FAILS), (9, 0, 1, FAILS)],
)
def test_how_often_a_driver_is_asked_before_it_is_called_broken(box, smi_status, patience, asked, said):
    answers_from(box, asked + 1, f"exit {smi_status}")
    status, report, noted = gpu(box, SETUP_RETRY_SECONDS=str(patience), SETUP_RETRY_PAUSE="0")
    assert (status, report, noted["state"]) == (1, ["fact cuda_version 12.8", said], "broken")
    asks = "timeout -k 2 30 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader"
    assert [call for call in box.calls("timeout") if "nvidia-smi" in call] == [asks] * asked


def test_a_driver_that_is_waited_for_is_asked_again_after_a_pause_and_noted_as_broken_until_then(box):
    answers_from(box, 4, 'cat "$STATE_DIR/gpu" >>~/meanwhile; exit 9')
    box.tool("sleep", "exit 0")
    status, report, noted = gpu(box, SETUP_RETRY_SECONDS="20", SETUP_RETRY_PAUSE="3")
    assert status == 0
    assert "passed" in report
    assert noted["state"] == "works"
    assert box.calls("sleep") == ["sleep 3"] * 3
    assert (box.home / "meanwhile").read_text() == "state broken\ntoolkit 12.8\ndriver \narch sm_75\n" * 3


def test_a_driver_without_a_card_is_asked_once(box):
    box.tool("lspci", "exit 0")
    answers_from(box, 2, "exit 9")
    status, report, noted = gpu(box, SETUP_RETRY_SECONDS="20")
    told = "warning no NVIDIA GPU on this instance type: programs that need a GPU do not run here"
    assert (status, report, noted["state"]) == (0, ["fact cuda_version 12.8", told], "absent")


@pytest.mark.parametrize("name", ["gpu", "cuda-test"])
def test_a_step_that_lacks_what_all_share_ends_there(box, name):
    said, status = box.step_without_lib(name)
    assert said.endswith("lib.sh: No such file or directory")
    assert status == "status 1"
    assert box.calls() == []


@pytest.mark.parametrize(
    ("versions", "lower"),
    [("12.8 13.0", "12.8"), ("13.2 12.8", "12.8"), ("12.10 12.9", "12.9"), ("'' 12.4", "12.4"), ("12.4 ''", "12.4")],
)
def test_the_lower_of_two_versions(versions, lower):
    assert cuda(f"lower_version {versions}") == lower


def test_without_both_nothing_is_known():
    assert cuda("lower_version '' ''") == ""


@pytest.mark.parametrize(
    ("says", "arch"),
    [
        ("8.6", "sm_86"),
        ("10.0", "sm_100"),
        ("8.6\n9.0", "sm_86"),
        (" 8.9", "sm_89"),
        ("[N/A]", "sm_75"),
        ("8.6; exit 9", "sm_86"),
    ],
)
def test_the_architecture_of_the_first_card(box, says, arch):
    text, _, then = says.partition("; ")
    box.tool("nvidia-smi", f"printf '%s\\n' '{text}'\n{then}")
    done = box.shell("gpu_arch", "cuda.sh")
    assert (done.returncode, done.stdout) == (0, arch + "\n")
    assert box.calls("nvidia-smi") == ["nvidia-smi --query-gpu=compute_cap --format=csv,noheader"]


def test_the_first_version_counts_and_may_have_any_digits(box):
    smi = "| CUDA Version: 20.10 |\n| CUDA UMD Version: 21.0 |\n"
    assert cuda("parse_nvidia_smi", smi) == "20.10"
    assert cuda("parse_nvcc", "release 20.10, V20\nrelease 9.1,") == "20.10"


def test_the_toolkit_is_looked_for_on_path_first_and_asked_within_a_bound(box):
    box.tool("timeout", 'exec /usr/bin/timeout "$@"')
    box.tool("ls", "echo /usr/local/cuda/bin/nvcc")
    found = box.shell("find_cuda_tool nvcc; toolkit_version", "cuda.sh")
    assert found.stdout == f"{box.bin}/nvcc\n12.8\n"
    assert box.calls() == [f"timeout -k 2 20 {box.bin}/nvcc --version", "nvcc --version"]


def test_a_toolkit_that_is_on_no_path_is_looked_for_where_it_usually_is(box):
    (box.bin / "nvcc").unlink()
    box.tool("ls", 'echo "$1"')
    assert box.shell("find_cuda_tool nvcc", "cuda.sh").stdout == "/usr/local/cuda/bin/nvcc\n"
    box.tool("ls", "exit 2")
    none = box.shell("toolkit_version", "cuda.sh")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "")


def test_what_cannot_be_found_out_is_nothing_and_no_failure(box):
    box.tool("nvidia-smi", "exit 9")
    done = box.shell("driver_version; gpu_fact arch", "cuda.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fact_of_the_step_gpu_is_read_by_its_name(box):
    (box.home / "scratch").mkdir()
    (box.home / "scratch" / "gpu").write_text("state works\ntoolkit 12.8\narch sm_86\n")
    assert box.shell("gpu_fact arch", "cuda.sh").stdout == "sm_86\n"


@pytest.mark.parametrize(("seen", "status"), [("echo 00:1e.0", 0), ("exit 0", 1), ("exit 1", 1)])
def test_a_card_is_looked_for_on_the_bus(box, seen, status):
    box.tool("lspci", seen)
    box.tool("timeout", 'exec /usr/bin/timeout "$@"')
    assert box.shell("has_nvidia_device", "lib.sh", "cuda.sh").returncode == status
    assert box.calls() == ["timeout 20 lspci -n -d 10de:", "lspci -n -d 10de:"]


@pytest.mark.parametrize("status", [0, 1])
def test_without_lspci_a_card_is_looked_for_among_the_kernel_s_files(box, status):
    box.tool("grep", f"exit {status}")
    done = box.shell("have() { [[ $1 != lspci ]]; }; has_nvidia_device", "lib.sh", "cuda.sh")
    [asked] = box.calls()
    assert done.returncode == status
    assert asked.startswith("grep -qsix 0x10de /sys/bus/pci/devices/")


# --- PyTorch on the card -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "python", "said"),
    [
        ("works", "cat >/dev/null", "passed"),
        ("works", "exit 1", "warning PyTorch cannot use the GPU: see ~/.aws-bootstrap/setup.log"),
        ("broken", "exit 0", "warning no working GPU: PyTorch was not tested on one"),
        ("absent", "exit 0", "warning no working GPU: PyTorch was not tested on one"),
    ],
)
def test_pytorch_is_tried_within_a_bound_and_only_where_the_card_works(box, state, python, said):
    folder, venv = box.home / ".aws-bootstrap" / "state", box.home / "venv" / "bin"
    venv.mkdir(parents=True)
    folder.mkdir()
    (folder / "gpu").write_text(f"state {state}\ntoolkit 12.8\n")
    box.tool("timeout", 'exec /usr/bin/timeout "$@"')
    box.tool("python", python)
    (box.bin / "python").rename(venv / "python")
    done, report = box.step("cuda-test")
    assert done.returncode == 0
    assert report == [said]
    asked = [f"timeout 180 {venv}/python - 12.8", "python - 12.8"] if state == "works" else []
    assert box.calls() == asked


# --- Nsight Systems ----------------------------------------------------------------------------------------------


def test_the_newest_nsight_systems_goes_on_path(box, tmp_path):
    for version in ("2023.4.4", "2024.10.1", "2024.6.2"):
        (tmp_path / "ns" / version / "bin").mkdir(parents=True)
        (tmp_path / "ns" / version / "bin" / "nsys").touch()
    shown = box.shell(f"NSIGHT_SYSTEMS={tmp_path}/ns; newest_nsys; NSIGHT_SYSTEMS=/nowhere; newest_nsys", "lib.sh")
    assert shown.stdout == f"{tmp_path}/ns/2024.10.1/bin\n"
