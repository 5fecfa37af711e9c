"""The benchmark and the notebook, run for real on the CPU. Run by .ci/payload: needs torch, not the tool."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

RESOURCES = Path(__file__).parents[2] / "resources"
SCRIPT = RESOURCES / "gpu_benchmark.py"


def load():
    """Return the benchmark as a module."""
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_benchmark"] = module
    spec.loader.exec_module(module)
    return module


bench = load()
CPU = torch.device("cpu")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in this process: importing torch anew each time would take longer than the tests."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = bench.main(list(arguments))
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


SMALL = (
    "--device",
    "cpu",
    "--batches",
    "2",
    "--warmup",
    "1",
    "--cnn-batch-size",
    "16",
    "--transformer-batch-size",
    "1",
)


def test_both_benchmarks_as_json():
    done = run(*SMALL, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["precision"] == "fp32"
    assert document["device"]["name"] == "CPU"
    cnn, transformer = document["results"]
    assert (cnn["benchmark"], transformer["benchmark"]) == ("cnn", "transformer")
    for result in (cnn, transformer):
        assert result["samples_per_second"] > 0
        assert result["tflops"] > 0
        assert result["batch_ms"]["median"] <= result["batch_ms"]["p95"] <= result["batch_ms"]["max"]
        assert result["share_of_peak"] is None
        assert result["peak_memory_mib"] is None
    assert cnn["tokens_per_second"] is None
    assert transformer["tokens_per_second"] == pytest.approx(256 * transformer["samples_per_second"])


def test_it_runs_as_a_program():
    done = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--transformer-batch-size" in done.stdout


def test_the_text_says_what_was_measured_and_on_which_data():
    done = run(*SMALL, "--mode", "cnn")
    assert "samples/s" in done.stdout
    assert "TFLOP/s" in done.stdout
    assert "data: " in done.stdout


def test_bf16_runs_on_the_cpu():
    done = run(*SMALL, "--mode", "cnn", "--precision", "bf16", "--json")
    assert json.loads(done.stdout)["results"][0]["precision"] == "bf16"


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_that_the_device_lacks_is_one_sentence(precision):
    done = run(*SMALL, "--precision", precision)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    done = run("--json")
    assert done.returncode == 1
    assert "--device cpu" in json.loads(done.stdout)["error"]


def test_diagnose():
    done = run("--device", "cpu", "--diagnose", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert all(check["ok"] for check in document["checks"])
    assert len(document["checks"]) == 5


def test_diagnose_names_what_fails_in_one_line_each():
    found = bench.diagnose(torch.device("meta"), "fp32")  # a device that holds no data
    assert len(found) == 5
    assert not any(check["ok"] for check in found)
    assert all(check["detail"] and "\n" not in check["detail"] for check in found)


def counted(model: torch.nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops()


def test_the_cnn_s_flops_are_those_that_pytorch_counts():
    assert counted(bench.Cnn(), torch.zeros(4, 1, 28, 28)) == bench.Cnn.forward_flops(4)


def test_the_transformer_s_flops_are_those_that_pytorch_counts_but_for_half_of_attention():
    shape = bench.GptShape(width=64, heads=4, layers=2, length=32, vocabulary=128)
    whole_attention = shape.layers * 2 * 2 * 3 * shape.length**2 * shape.width
    found = counted(bench.Gpt(shape), torch.zeros(3, shape.length, dtype=torch.long))
    # Some builds do not count the fused attention of the CPU at all.
    assert found - shape.forward_flops(3) in (whole_attention // 2, -whole_attention // 2)


def test_the_transformer_sees_only_what_came_before():
    torch.manual_seed(0)
    shape = bench.GptShape(width=32, heads=4, layers=2, length=8, vocabulary=64)
    model = bench.Gpt(shape).eval()
    tokens = torch.randint(0, 64, (1, 8))
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 64
    before, after = model(tokens), model(changed)
    assert torch.allclose(before[:5], after[:5], atol=1e-5)
    assert not torch.allclose(before[5:], after[5:], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("Tesla T4", "fp16", 65.0),
        ("Tesla T4", "bf16", None),
        ("NVIDIA A10G", "bf16", 70.0),
        ("NVIDIA L4", "fp16", 121.0),
        ("NVIDIA L40S", "fp16", 362.0),
        ("NVIDIA A100-SXM4-40GB", "tf32", 156.0),
        ("Tesla V100-SXM2-16GB", "fp16", 125.0),
        ("NVIDIA H100 80GB HBM3", "bf16", 989.5),
        ("NVIDIA H100 PCIe", "bf16", None),
        ("NVIDIA H200", "fp32", 67.0),
        ("NVIDIA GeForce RTX 5090", "fp16", None),
    ],
)
def test_the_peak_of_a_card(name, precision, peak):
    assert bench.peak_tflops(name, precision) == peak


def test_synthetic_mnist_has_the_shape_of_mnist():
    images, labels = bench.synthetic_mnist(100)
    assert images.shape == (100, 1, 28, 28)
    assert labels.shape == (100,)
    assert set(labels.tolist()) <= set(range(10))


def test_batches_go_round_for_ever_and_are_full():
    batches = bench.batches_of(torch.arange(10), torch.arange(10), 4)
    seen = [next(batches)[0] for _ in range(6)]
    assert all(len(batch) == 4 for batch in seen)


def test_the_notebook_runs_from_top_to_bottom_with_its_plots(tmp_path):
    notebook = nbformat.read(RESOURCES / "gpu_smoke_test.ipynb", as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert "Everything ran" in str(shown[-1]) or "The GPU works" in str(shown[-1])
