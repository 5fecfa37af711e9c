"""The smaller steps of the setup, each alone: the exact commands that it runs, the files it leaves, what it reports."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.standins import STRICT_SUDO, FakeBox

# Root without any of root's powers is stopped by the rights of a file, as the login user is.
POWERLESS = 'exec /usr/bin/setpriv --bounding-set=-all --inh-caps=-all /bin/bash "$@"'


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    box = FakeBox(tmp_path / "box")
    box.tool("sudo", STRICT_SUDO)
    return box


def moved(box: FakeBox, script: str, **paths: str) -> None:
    """Let a script on the box mean paths below its home where it names those of the system."""
    file = box.folder / "setup.d" / script
    text = file.read_text()
    for name, path in paths.items():
        text = text.replace(path, str(box.home / name))
    file.write_text(text)


def step(box: FakeBox, name: str, **more: str) -> list[str]:
    """Run a step that ends well and does not complain; its report."""
    done, report = box.step(name, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report


@pytest.mark.parametrize("name", ["keepalive", "setup-script"])
def test_keepalive_or_setup_script_without_the_functions_of_all_steps_fails(box, name):
    """An upload that was cut off, or a full disk: nothing that was not done is told as done."""
    (box.folder / "setup.d" / "lib.sh").unlink()
    (box.folder / "user-setup-script").write_text("exit 0\n")
    done, report = box.step(name)
    assert done.returncode != 0
    assert report == []
    assert box.calls("sudo") == []


# --- Python packages ---------------------------------------------------------------------------------------------


@pytest.fixture
def venv(box: FakeBox) -> FakeBox:
    """A box with a venv whose Python says its version."""
    (box.home / "venv" / "bin").mkdir(parents=True)
    python(box, "echo 3.12.3")
    return box


def python(box: FakeBox, body: str) -> None:
    path = box.home / "venv" / "bin" / "python"
    path.write_text(f"#!/bin/bash\n[[ $1 == -c ]] || exit 2\n{body}\n")
    path.chmod(0o755)


def notes(box: FakeBox, name: str) -> str:
    return (box.home / "venv" / ".aws-bootstrap" / name).read_text()


def install(box: FakeBox, name: str) -> str:
    return f"uv pip install --python {box.home}/venv/bin/python -r {box.folder}/{name}.txt"


PACKAGES = [("requirements", "requirements"), ("more-packages", "requirements-more")]


@pytest.mark.parametrize(("name", "wanted"), PACKAGES)
def test_python_packages_are_installed_once(venv, name, wanted):
    """The steps requirements and more_packages."""
    (venv.folder / f"{wanted}.txt").write_text("")
    assert step(venv, name) == ["changed"]
    assert venv.calls("uv") == [install(venv, wanted)]
    assert notes(venv, name) == "4294967295 0 3.12.3\n", "the list's checksum and the Python"
    venv.forget_calls()
    assert step(venv, name) == []
    assert venv.calls() == []


@pytest.mark.parametrize(("name", "wanted"), PACKAGES)
@pytest.mark.parametrize("what", ["list", "python", "mark"])
def test_python_packages_are_installed_again_for_another(venv, name, wanted, what):
    """The steps requirements and more_packages: another list, another Python, a venv without the note."""
    step(venv, name)
    venv.forget_calls()
    if what == "list":
        (venv.folder / f"{wanted}.txt").write_text("numpy\n")
    elif what == "python":
        python(venv, "echo 3.13.1")
    else:
        (venv.home / "venv" / ".aws-bootstrap" / name).unlink()
    assert step(venv, name) == ["changed"]
    assert venv.calls("uv") == [install(venv, wanted)]
    assert step(venv, name) == []


@pytest.mark.parametrize("gone", ["removed", "not to be run"])
def test_requirements_are_installed_again_where_jupyter_is_gone(venv, gone):
    step(venv, "requirements")
    jupyter = venv.home / "venv" / "bin" / "jupyter"
    if gone == "removed":
        jupyter.unlink()
    else:
        jupyter.chmod(0o644)
    assert step(venv, "requirements") == ["changed"]
    assert len(venv.calls("uv")) == 2


@pytest.mark.parametrize(("name", "wanted"), PACKAGES)
def test_python_packages_are_not_installed_into_a_venv_that_is_no_good(venv, name, wanted):
    """The steps requirements and more_packages."""
    python(venv, "echo Segmentation fault >&2; exit 139")
    done, report = venv.step(name)
    assert (done.returncode, report, done.stderr) == (139, [], "Segmentation fault\n")
    assert venv.calls("uv") == []


def test_the_heavier_more_packages_warn_where_they_cannot_be_had_and_are_tried_again(venv):
    venv.faults(("requirements-more.txt$", 1, "error: no route to host"))
    done, report = venv.step("more-packages")
    later = f"uv pip install -r {venv.folder}/requirements-more.txt"
    assert done.returncode == 0
    assert report == [f"warning uv could not install all of them; try later: {later}"]
    venv.faults()
    assert step(venv, "more-packages") == ["changed"]
    venv.forget_calls()
    assert step(venv, "more-packages") == []
    assert venv.calls() == []


def test_requirements_that_cannot_be_had_are_a_failure_and_tried_again(venv):
    venv.faults(("requirements.txt$", 1, ""))
    done, report = venv.step("requirements")
    assert (done.returncode, report) == (1, ["error uv could not install requirements.txt"])
    venv.faults()
    assert step(venv, "requirements") == ["changed"]


def test_a_full_disk_is_named_with_the_requirements_that_failed(venv):
    log = venv.home / ".aws-bootstrap" / "log" / "requirements.log"
    log.parent.mkdir()
    log.write_text("error: Failed to install: No space left on device (os error 28)\n")
    venv.faults(("^uv pip install", 1, ""))
    report = venv.step("requirements")[1]
    assert report == ["error uv could not install requirements.txt (the disk is full: No space left on device)"]


# --- Nsight ------------------------------------------------------------------------------------------------------

COUNTERS = "options nvidia NVreg_RestrictProfilingToAdminUsers=0\n"


@pytest.fixture
def nsight(box: FakeBox) -> FakeBox:
    """A box with what Nsight Systems, the driver and the kernel have below its home, and the driver's options set."""
    moved(box, "lib.sh", **{"opt/nvidia": "/opt/nvidia"})
    paths = {"modprobe.d": "/etc/modprobe.d", "params": "/proc/driver/nvidia/params", "boot": "/boot"}
    moved(box, "65-nsight.sh", **paths)
    for folder in ("modprobe.d", "boot"):
        (box.home / folder).mkdir()
    (box.home / "modprobe.d" / "aws-bootstrap-nvidia.conf").write_text(COUNTERS)
    box.tool("uname", "echo 6.8.0-aws")
    box.tool("lsinitramfs", "echo usr/lib/modules/6.8.0-aws/updates/nvidia.ko.zst")
    box.tool("update-initramfs", "exit 0")
    if os.geteuid() == 0:
        box.tool("bash", POWERLESS)
    return box


def systems(box: FakeBox, mode: int = 0o755) -> Path:
    """Install Nsight Systems; the program has these rights."""
    program = box.home / "opt" / "nvidia" / "nsight-systems" / "2025.1.3" / "bin" / "nsys"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(mode)
    return program


def test_nsight_that_is_not_there_is_not_opened(nsight):
    assert step(nsight, "nsight") == []
    assert nsight.calls("sudo") == []


def test_nsight_that_everybody_may_use_is_left_as_it_is(nsight):
    systems(nsight)
    assert step(nsight, "nsight") == []
    assert nsight.calls("sudo") == []


def test_a_folder_of_nvidia_s_without_nsight_systems_is_left_as_it_is(nsight):
    (nsight.home / "opt" / "nvidia").mkdir(parents=True)
    assert step(nsight, "nsight") == []
    assert nsight.calls("sudo") == []


def test_nsight_that_is_root_s_alone_is_opened_with_the_folder_above_it(nsight):
    program = systems(nsight, 0o600)
    top = program.parents[2]
    top.chmod(0o600)
    top.parent.chmod(0o600)
    assert step(nsight, "nsight") == ["changed", "changed"]
    assert nsight.calls("sudo") == [f"sudo -n chmod a+rx {top.parent}", f"sudo -n chmod -R a+rX {top}"]


def test_nsight_whose_folder_alone_is_closed_is_opened(nsight):
    top = systems(nsight).parents[2]
    top.chmod(0o600)
    assert step(nsight, "nsight") == ["changed"]
    assert nsight.calls("sudo") == [f"sudo -n chmod -R a+rX {top}"]
    nsight.forget_calls()
    assert step(nsight, "nsight") == []
    assert nsight.calls("sudo") == []


def test_nsight_whose_program_alone_is_closed_is_opened(nsight):
    nsight.tool("sudo", "[[ $1 == -n ]]")
    top = systems(nsight, 0o644).parents[2]
    assert step(nsight, "nsight") == ["changed"]
    assert nsight.calls("sudo") == [f"sudo -n chmod -R a+rX {top}"]


def test_nsight_that_cannot_be_opened_is_a_failure(nsight):
    systems(nsight, 0o644)
    nsight.faults(("^sudo -n chmod", 1, "read-only file system"))
    done, report = nsight.step("nsight")
    assert (done.returncode, report, done.stderr) == (1, [], "read-only file system\n")


def counters(box: FakeBox, kernel: str = "6.8.0-aws", **more: str) -> list[str]:
    """Run the step nsight on a box where the counters are closed yet; what root did after it wrote the option."""
    option = box.home / "modprobe.d" / "aws-bootstrap-nvidia.conf"
    option.unlink()
    (box.home / "boot" / f"initrd.img-{kernel}").touch()
    done, report = box.step("nsight", **more)
    assert (done.returncode, set(report), done.stdout, done.stderr) == (0, {"changed"}, "", "")
    assert option.read_text() == COUNTERS
    first, *others = box.calls("sudo")
    assert first == f"sudo -n install -D -m 0644 {box.home}/scratch/{option.name} {option}"
    return others


def test_nsight_opens_the_counters_where_the_driver_reads_them(nsight):
    assert counters(nsight) == [
        f"sudo -n lsinitramfs {nsight.home}/boot/initrd.img-6.8.0-aws",
        "sudo -n update-initramfs -u",
    ]
    nsight.forget_calls()
    assert step(nsight, "nsight") == []
    assert nsight.calls("sudo") == []


def test_nsight_leaves_an_initramfs_without_the_driver(nsight):
    nsight.tool("lsinitramfs", "echo kernel/nvidia-drm.ko; echo kernel/not-nvidia.ko; echo etc/nvidia")
    assert counters(nsight) == [f"sudo -n lsinitramfs {nsight.home}/boot/initrd.img-6.8.0-aws"]


def test_nsight_leaves_a_kernel_without_an_initramfs(nsight):
    assert counters(nsight, kernel="5.15.0-older") == []


def test_nsight_leaves_an_initramfs_that_nobody_can_list(nsight):
    (nsight.bin / "lsinitramfs").unlink()
    assert counters(nsight, PATH=nsight.bare_path()) == []


def test_nsight_whose_initramfs_cannot_be_made_fails_until_it_is_made(nsight):
    """The option is written by then, so that the file alone does not say that all is done."""
    (nsight.home / "modprobe.d" / "aws-bootstrap-nvidia.conf").unlink()
    (nsight.home / "boot" / "initrd.img-6.8.0-aws").touch()
    nsight.faults(("^update-initramfs", 1, "no space"))
    for _ in range(2):
        done, _ = nsight.step("nsight")
        assert (done.returncode, done.stderr) == (1, "no space\n")
    nsight.faults()
    nsight.forget_calls()
    assert step(nsight, "nsight") == ["changed"]
    assert nsight.calls("update-initramfs") == ["update-initramfs -u"]
    assert step(nsight, "nsight") == []
    assert len(nsight.calls("update-initramfs")) == 1


@pytest.mark.parametrize(("admin_only", "told"), [("1", True), ("0", False)])
def test_nsight_says_when_the_counters_are_open(nsight, admin_only, told):
    (nsight.home / "params").write_text(f"Mobile: 4294967295\nRmProfilingAdminOnly: {admin_only}\n")
    done, report = nsight.step("nsight")
    said = "ncu works without sudo after a reboot"
    assert report == ([f"note {said}"] if told else [])
    assert done.stdout == (f"note: {said}\n" if told else "")


# --- Samples, VSCode ---------------------------------------------------------------------------------------------


def test_the_samples_are_the_benchmark_and_the_notebook(box):
    assert step(box, "samples") == ["changed", "changed"]
    for name in ("gpu_benchmark.py", "gpu_smoke_test.ipynb"):
        assert (box.home / name).read_bytes() == (box.folder / name).read_bytes()
    assert step(box, "samples") == []


def test_samples_that_cannot_be_copied_are_a_failure(box):
    box.tool("cp", 'exec /bin/cp "$@"')
    box.faults((r"^cp .*gpu_benchmark", 1, "No space left on device"))
    done, report = box.step("samples")
    assert (done.returncode, report, done.stderr) == (1, [], "No space left on device\n")
    assert not (box.home / "gpu_benchmark.py").exists()


def vscode(box: FakeBox) -> Path:
    """Note what the step gpu found; the folder of the workspace."""
    state = box.home / ".aws-bootstrap" / "state"
    state.mkdir(parents=True)
    (state / "gpu").write_text("state works\ntoolkit 12.8\narch sm_90\n")
    return box.home / "workspace"


def test_vscode_has_the_box_s_debugger_and_gpu(box):
    workspace = vscode(box)
    assert step(box, "vscode") == ["changed"] * 4
    for name in ("extensions.json", "launch.json", "tasks.json"):
        template = (box.folder / name).read_text()
        made = template.replace("__CUDA_GDB_PATH__", f"{box.bin}/cuda-gdb").replace("__GPU_ARCH__", "sm_90")
        assert (workspace / ".vscode" / name).read_text() == made
    assert (workspace / "saxpy.cu").read_bytes() == (box.folder / "saxpy.cu").read_bytes()
    assert step(box, "vscode") == []


def test_vscode_looks_for_a_debugger_that_is_not_there_yet_where_it_is_installed(box):
    workspace = vscode(box)
    (box.bin / "cuda-gdb").unlink()
    step(box, "vscode")
    assert '"debuggerPath": "/usr/local/cuda/bin/cuda-gdb"' in (workspace / ".vscode" / "launch.json").read_text()


def test_vscode_files_that_cannot_be_copied_are_a_failure(box):
    vscode(box)
    box.tool("cp", 'exec /bin/cp "$@"')
    box.faults((r"^cp .*launch.json", 1, "No space left on device"))
    done, report = box.step("vscode")
    assert (done.returncode, report, done.stderr) == (1, ["changed"], "No space left on device\n")


# --- SSH keepalive -----------------------------------------------------------------------------------------------


@pytest.fixture
def sshd(box: FakeBox) -> FakeBox:
    """A box whose sshd is configured below its home."""
    moved(box, "80-keepalive.sh", **{"sshd_config.d": "/etc/ssh/sshd_config.d"})
    box.tool("sshd", '[[ "$*" == -t ]]')
    return box


def keepalive(box: FakeBox) -> list[str]:
    """Return what root did for the keepalive, its file apart."""
    path = box.home / "sshd_config.d" / "60-aws-bootstrap.conf"
    first, *others = box.calls("sudo")
    assert first == f"sudo -n install -D -m 0644 {box.home}/scratch/{path.name} {path}"
    assert path.read_text() == "ClientAliveInterval 60\nClientAliveCountMax 10\n"
    return others


def test_keepalive_is_set_checked_and_loaded(sshd):
    assert step(sshd, "keepalive") == ["changed", "changed"]
    assert keepalive(sshd) == ["sudo -n sshd -t", "sudo -n systemctl reload ssh"]
    sshd.forget_calls()
    assert step(sshd, "keepalive") == []
    assert sshd.calls() == []


def test_keepalive_loads_the_service_by_its_other_name(sshd):
    sshd.faults(("^systemctl reload ssh$", 5, ""))
    assert sshd.step("keepalive")[1] == ["changed", "changed"]
    assert keepalive(sshd) == ["sudo -n sshd -t", "sudo -n systemctl reload ssh", "sudo -n systemctl reload sshd"]


def test_keepalive_that_cannot_be_loaded_is_a_warning_and_tried_again(sshd):
    sshd.faults(("^systemctl reload", 5, ""))
    done, report = sshd.step("keepalive")
    assert done.returncode == 0
    assert report == ["changed", "warning sshd could not be reloaded"]
    sshd.faults()
    sshd.forget_calls()
    assert step(sshd, "keepalive") == ["changed"]
    assert sshd.calls("sudo") == ["sudo -n sshd -t", "sudo -n systemctl reload ssh"]
    assert step(sshd, "keepalive") == []


def test_keepalive_that_sshd_does_not_accept_is_not_loaded_until_it_does(sshd):
    """The file is written by then, so that it alone does not say that all is done."""
    sshd.faults(("^sshd -t", 255, "Bad configuration option"))
    done, report = sshd.step("keepalive")
    assert done.returncode == 1
    assert report == ["changed", "error sshd does not accept its configuration"]
    assert keepalive(sshd) == ["sudo -n sshd -t"]
    assert sshd.step("keepalive")[1] == ["error sshd does not accept its configuration"]
    sshd.faults()
    sshd.forget_calls()
    assert step(sshd, "keepalive") == ["changed"]
    assert sshd.calls("sudo") == ["sudo -n sshd -t", "sudo -n systemctl reload ssh"]


# --- Your own script ---------------------------------------------------------------------------------------------


def own(box: FakeBox, script: str) -> Path:
    """Upload a setup script; where it notes its runs."""
    (box.folder / "user-setup-script").write_text(script)
    return box.home / "seen"


def seen(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_setup_script_without_a_shebang_is_bash_s_and_runs_in_the_home_folder_once(box):
    runs = own(box, 'echo "$PWD ${BASH_VERSION:+bash}" >>seen\n')
    assert step(box, "setup-script") == ["changed"]
    assert seen(runs) == [f"{box.home} bash"]
    assert step(box, "setup-script") == []
    assert len(seen(runs)) == 1
    own(box, "echo another >>seen\n")
    assert step(box, "setup-script") == ["changed"]
    assert seen(runs)[1:] == ["another"]


def test_a_setup_script_runs_by_its_own_shebang_with_the_venv(box):
    venv = box.home / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "activate").write_text("export VIRTUAL_ENV=mine\n")
    runs = own(box, "#!/usr/bin/env python3\nimport os\nopen('seen', 'a').write(os.environ['VIRTUAL_ENV'])\n")
    assert step(box, "setup-script") == ["changed"]
    assert seen(runs) == ["mine"]


@pytest.mark.parametrize("status", [1, 3])
def test_a_setup_script_that_fails_is_named_and_runs_again(box, status):
    runs = own(box, f"echo run >>seen\nexit {status}\n")
    for count in (1, 2):
        done, report = box.step("setup-script")
        assert (done.returncode, report) == (1, [f"error exit status {status}"])
        assert seen(runs) == ["run"] * count
