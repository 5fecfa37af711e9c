#!/usr/bin/env python3
"""Measure what the GPU does in training: a CNN on MNIST and a GPT-style Transformer on synthetic text.

    python ~/gpu_benchmark.py                              both, in the best precision for the card
    python ~/gpu_benchmark.py --mode transformer --precision bf16 --json
    python ~/gpu_benchmark.py --diagnose                   check that the GPU works
    python ~/gpu_benchmark.py --device cpu --batches 3     a dry run

It times complete training steps: forward, loss, backward, optimiser. The data is in the device's memory before the
clock starts, so no loader is measured. FLOPs are computed from the layers' shapes (a multiply-add is two, the backward
pass twice the forward pass, causal attention half). They do not count the instructions that the hardware executed.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional

PRECISIONS = ("fp32", "fp16", "bf16", "tf32")
AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}
MNIST_FOLDER = Path.home() / ".cache" / "mnist"
DOWNLOAD_TIMEOUT_SECONDS = 20

# Peak TFLOP/s of dense matrix products, fp32 by the CUDA cores, the others by the tensor cores: from NVIDIA's data
# sheets at https://www.nvidia.com/en-us/data-center/ (tesla-t4, v100, a100, l4, l40s, h100 SXM, h200; B200: an eighth
# of hgx; A10G: the sheet that AWS hosts for G5). Their figures with sparsity are halved here.
PEAKS = {
    r"\bT4G?\b": {"fp32": 8.1, "fp16": 65.0},
    r"\bV100\b": {"fp32": 15.7, "fp16": 125.0},
    r"\bA10G\b": {"fp32": 35.0, "tf32": 35.0, "fp16": 70.0, "bf16": 70.0},
    r"\bA100\b": {"fp32": 19.5, "tf32": 156.0, "fp16": 312.0, "bf16": 312.0},
    r"\bL4\b": {"fp32": 30.3, "tf32": 60.0, "fp16": 121.0, "bf16": 121.0},
    r"\bL40S\b": {"fp32": 91.6, "tf32": 183.0, "fp16": 362.0, "bf16": 362.0},
    r"\bH100 80GB HBM3\b": {"fp32": 67.0, "tf32": 494.5, "fp16": 989.5, "bf16": 989.5},
    r"\bH200\b": {"fp32": 67.0, "tf32": 494.5, "fp16": 989.5, "bf16": 989.5},
    r"\bB200\b": {"fp32": 75.0, "tf32": 1125.0, "fp16": 2250.0, "bf16": 2250.0},
}


Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Unusable(Exception):
    """The benchmark cannot run with these options. The text gives the reason and a remedy."""


def default_precision(device: torch.device) -> str:
    """Return the best precision for the card: bf16 from Ampere on, fp16 on Volta and Turing, else fp32."""
    if device.type != "cuda":
        return "fp32"
    major, _ = torch.cuda.get_device_capability(device)
    return "bf16" if major >= 8 else "fp16" if major == 7 else "fp32"


def check_precision(precision: str, device: torch.device) -> str | None:
    """Return a warning if the card is slow in the precision. Raise Unusable if the card does not support it."""
    if device.type != "cuda":
        if precision in ("tf32", "fp16"):
            raise Unusable(f"{precision} needs a GPU; on the CPU use --precision fp32 or bf16")
        return None
    old = torch.cuda.get_device_capability(device) < (8, 0)
    if old and precision == "tf32":
        raise Unusable("this card has no TF32 (it is older than Ampere); use --precision fp16 or fp32")
    return "bf16 is slow on this card (older than Ampere): fp16 suits it" if old and precision == "bf16" else None


def peak_tflops(name: str, precision: str) -> float | None:
    """Return the card's published peak, or None if the table has none."""
    return next((peaks.get(precision) for card, peaks in PEAKS.items() if re.search(card, name)), None)


def set_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in fp32 products."""
    with warnings.catch_warnings():
        # PyTorch 2.9 renamed these switches. The old names work in every version that a CUDA tag has wheels of.
        warnings.simplefilter("ignore")
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed


class Cnn(nn.Module):
    """The small convolutional network that MNIST examples use."""

    def __init__(self) -> None:
        """Create two convolutions and two linear layers."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the ten logits of each 28 x 28 image."""
        x = functional.relu(self.conv2(functional.relu(self.conv1(images))))
        x = functional.max_pool2d(x, 2).flatten(1)
        return self.fc2(functional.relu(self.fc1(x)))

    @staticmethod
    def forward_flops(batch: int) -> int:
        """Return the FLOPs of one forward pass."""
        convolutions = 9 * 1 * 32 * 26 * 26 + 9 * 32 * 64 * 24 * 24
        return 2 * batch * (convolutions + 64 * 12 * 12 * 128 + 128 * 10)


@dataclass(frozen=True)
class GptShape:
    """The size of the Transformer: 69 million parameters, small enough for 32 sequences at once on a T4 (16 GB)."""

    width: int = 768
    heads: int = 12
    layers: int = 8
    length: int = 256
    vocabulary: int = 16384

    def forward_flops(self, batch: int) -> int:
        """Return the FLOPs of one forward pass: the linear layers, causal attention, the logits."""
        tokens = batch * self.length
        linear = 2 * tokens * (self.layers * 12 * self.width**2 + self.width * self.vocabulary)
        attention = self.layers * (2 * 2 * tokens * self.length * self.width) // 2
        return linear + attention


class Block(nn.Module):
    """One pre-norm Transformer block."""

    def __init__(self, shape: GptShape) -> None:
        """Create causal self-attention and a feed-forward layer four times as wide."""
        super().__init__()
        self.heads = shape.heads
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.mlp = nn.Sequential(
            nn.Linear(shape.width, 4 * shape.width), nn.GELU(), nn.Linear(4 * shape.width, shape.width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, of the same shape (batch, length, width)."""
        batch, length, width = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    """A GPT-style language model with tied embeddings."""

    def __init__(self, shape: GptShape) -> None:
        """Create the embeddings and the blocks."""
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Parameter(torch.zeros(shape.length, shape.width))
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits, flattened to (batch x length, vocabulary)."""
        x = self.blocks(self.tokens(tokens) + self.positions)
        return functional.linear(self.norm(x), self.tokens.weight).flatten(0, 1)


def synthetic_mnist(count: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images that can be learnt, without a download: ten fixed patterns under noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (count,), generator=generator)
    patterns = torch.rand(10, 1, 28, 28, generator=generator)
    return patterns[labels] + 0.3 * torch.randn(count, 1, 28, 28, generator=generator), labels


def load_mnist() -> tuple[torch.Tensor, torch.Tensor, str]:
    """Return images, labels and their source: MNIST, or synthetic data if MNIST is not available."""
    before = socket.getdefaulttimeout()
    try:
        from torchvision.datasets import MNIST

        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
        with redirect_stdout(sys.stderr):  # torchvision prints, and stdout may be for JSON
            mnist = MNIST(str(MNIST_FOLDER), train=True, download=True)
        images = (mnist.data.float().unsqueeze(1) / 255 - 0.1307) / 0.3081
        return images, mnist.targets, "MNIST"
    except ImportError:
        return *synthetic_mnist(), "synthetic (torchvision is not installed)"
    except (OSError, RuntimeError) as error:
        return *synthetic_mnist(), f"synthetic (MNIST could not be downloaded: {error})"
    finally:
        socket.setdefaulttimeout(before)


def batches_of(images: torch.Tensor, labels: torch.Tensor, size: int) -> Batches:
    """Yield batches for ever, gathered on the device that holds the data."""
    while True:
        order = torch.randperm(len(images), device=images.device)
        for start in range(0, max(1, len(order) - size + 1), size):
            chosen = order[start : start + size]
            yield images[chosen], labels[chosen]


def synthetic_text(shape: GptShape, size: int, device: torch.device) -> Batches:
    """Yield (tokens, next tokens) for ever: random text in a few batches that repeat."""
    text = torch.randint(0, shape.vocabulary, (4, size, shape.length + 1), device=device)
    while True:
        for batch in text:
            yield batch[:, :-1], batch[:, 1:].flatten()


def mark(device: torch.device) -> Any:
    """Return this point in time. On a GPU it is an event that is recorded after all work queued so far."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def milliseconds(start: Any, end: Any) -> float:
    """Return the time between two marks."""
    return (end - start) * 1000 if isinstance(start, float) else start.elapsed_time(end)


def catch_up(device: torch.device) -> None:
    """Wait until the device has completed all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Trainer:
    """A model, its optimiser and the precision they run in."""

    def __init__(self, model: nn.Module, device: torch.device, precision: str) -> None:
        """Put the model on the device, ready to train."""
        set_tf32(precision == "tf32")
        self.device, self.precision = device, precision
        self.model = model.to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-4)
        # fp16's small gradients would vanish without a scale.
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Train on one batch and return its loss, still on the device, because reading it would wait for the GPU."""
        self.optimizer.zero_grad(set_to_none=True)
        lower = AUTOCAST.get(self.precision)
        with torch.autocast(self.device.type, dtype=lower, enabled=lower is not None):
            loss = functional.cross_entropy(self.model(inputs), targets)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


@dataclass(frozen=True)
class Work:
    """A model, its batches, and the size and FLOPs of one training step."""

    benchmark: str
    trainer: Trainer
    batches: Batches
    batch_size: int
    step_flops: int
    data: str
    tokens: int | None = None  # in a sample


def cnn_work(device: torch.device, precision: str, size: int) -> Work:
    """Return the CNN on MNIST."""
    images, labels, origin = load_mnist()
    batches = batches_of(images.to(device), labels.to(device), size)
    return Work("cnn", Trainer(Cnn(), device, precision), batches, size, 3 * Cnn.forward_flops(size), origin)


def transformer_work(device: torch.device, precision: str, size: int) -> Work:
    """Return the Transformer on synthetic text."""
    shape = GptShape()
    trainer, batches = Trainer(Gpt(shape), device, precision), synthetic_text(shape, size, device)
    flops = 3 * shape.forward_flops(size)
    return Work("transformer", trainer, batches, size, flops, "synthetic text", shape.length)


def timed_steps(work: Work, count: int, warmup: int) -> tuple[list[float], float, list[torch.Tensor]]:
    """Return each step's milliseconds, the seconds of all of them, and the losses, after WARMUP steps untimed."""
    device = work.trainer.device
    losses = [work.trainer.step(*next(work.batches)) for _ in range(warmup)]
    catch_up(device)
    began, marks = time.perf_counter(), [mark(device)]
    for _ in range(count):
        losses.append(work.trainer.step(*next(work.batches)))
        marks.append(mark(device))
    catch_up(device)
    seconds = time.perf_counter() - began
    return [milliseconds(start, end) for start, end in pairwise(marks)], seconds, losses


def measure(work: Work, count: int, warmup: int) -> dict[str, Any]:
    """Run the work and return its figures. Times are per training step."""
    device, precision = work.trainer.device, work.trainer.precision
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times, seconds, losses = timed_steps(work, count, warmup)
    rate, tflops = count * work.batch_size / seconds, work.step_flops * count / seconds / 1e12
    peak = peak_tflops(about(device)["name"], precision)
    return {
        "benchmark": work.benchmark,
        "precision": precision,
        "data": work.data,
        "batch_size": work.batch_size,
        "batches": count,
        "samples_per_second": rate,
        "tokens_per_second": rate * work.tokens if work.tokens else None,
        "batch_ms": {"median": median(times), "p95": sorted(times)[round(0.95 * (count - 1))], "max": max(times)},
        "peak_memory_mib": torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None,
        "tflops": tflops,
        "peak_tflops": peak,
        "share_of_peak": tflops / peak if peak else None,
        "loss": {"first": losses[0].item(), "last": losses[-1].item()},
    }


def check_product(device: torch.device, dtype: torch.dtype, tolerance: float) -> str:
    """Compare a matrix product with the CPU's in double precision."""
    set_tf32(False)
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    product = (a.to(device, dtype) @ b.to(device, dtype)).double().cpu()
    exact = a.to(dtype).double() @ b.to(dtype).double()
    gap = ((product - exact).abs().max() / exact.abs().max()).item()
    if not gap <= tolerance:
        raise RuntimeError(f"largest relative error {gap:.1e}, more than {tolerance:.0e}")
    return f"largest relative error {gap:.1e}"


def check_copy(device: torch.device) -> str:
    """Send 256 MB to the device and back, unchanged."""
    data = torch.randint(0, 255, (256 * 2**20,), dtype=torch.uint8, pin_memory=device.type == "cuda")
    began = time.perf_counter()
    there = data.to(device, copy=True)
    catch_up(device)
    rate = data.numel() / (time.perf_counter() - began) / 1e9
    if not torch.equal(there.cpu(), data):
        raise RuntimeError("the data was changed by the copy")
    return f"{rate:.1f} GB/s to the device"


def check_training(device: torch.device, precision: str) -> str:
    """Train the CNN for a moment: the loss must fall."""
    images, labels = synthetic_mnist(1024)
    trainer = Trainer(Cnn(), device, precision)
    batches = batches_of(images.to(device), labels.to(device), 64)
    losses = [trainer.step(*next(batches)).item() for _ in range(30)]
    if not losses[-1] < 0.7 * losses[0]:
        raise RuntimeError(f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}")
    return f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in 30 steps ({precision})"


def diagnose(device: torch.device, precision: str) -> list[dict]:
    """Run each check on the device and return [{"check", "ok", "detail"}]."""
    checks: dict[str, Callable[[], str]] = {
        "fp32 matrix product": lambda: check_product(device, torch.float32, 1e-5),
        "fp16 matrix product": lambda: check_product(device, torch.float16, 5e-3),
        "bf16 matrix product": lambda: check_product(device, torch.bfloat16, 2e-2),
        "memory copy": lambda: check_copy(device),
        "training": lambda: check_training(device, precision),
    }
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        del checks["bf16 matrix product"]  # cards before Ampere only emulate it
    found = []
    for name, check in checks.items():
        try:
            found.append({"check": name, "ok": True, "detail": check()})
        except RuntimeError as error:  # CUDA's errors are RuntimeErrors too
            found.append({"check": name, "ok": False, "detail": str(error).splitlines()[0]})
    return found


def about(device: torch.device) -> dict:
    """Return the device and the versions behind the figures."""
    facts = {"name": "CPU", "torch": torch.__version__, "cuda": torch.version.cuda}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        facts["name"] = card.name
        facts["compute_capability"] = f"{card.major}.{card.minor}"
        facts["memory_mib"] = card.total_memory // 2**20
    return facts


def as_text(result: dict[str, Any]) -> str:
    """Return a result as text."""
    tokens, share, memory = result["tokens_per_second"], result["share_of_peak"], result["peak_memory_mib"]
    return "\n".join(
        [
            "{benchmark} ({precision}, batches of {batch_size}, data: {data})".format(**result),
            "  {samples_per_second:,.0f} samples/s".format(**result) + (f", {tokens:,.0f} tokens/s" if tokens else ""),
            "  batch {median:.2f} ms median, {p95:.2f} p95, {max:.2f} max".format(**result["batch_ms"]),
            "  {tflops:.2f} TFLOP/s".format(**result)
            + (f", {share:.1%} of the card's peak {result['peak_tflops']:g}" if share else ""),
            "  loss {first:.3f} -> {last:.3f}".format(**result["loss"]),
            *([f"  peak memory {memory:,.0f} MiB"] if memory else []),
        ]
    )


def run_benchmarks(options: argparse.Namespace, device: torch.device, precision: str) -> list[dict[str, Any]]:
    """Run the requested benchmarks and return their results."""
    gpu = device.type == "cuda"
    makers = {
        "cnn": lambda: cnn_work(device, precision, options.cnn_batch_size),
        "transformer": lambda: transformer_work(
            device, precision, options.transformer_batch_size or (32 if gpu else 2)
        ),
    }
    results = []
    for name in makers if options.mode == "both" else (options.mode,):
        try:
            work = makers[name]()
            results.append(measure(work, options.batches or (100 if gpu else 3), options.warmup or (10 if gpu else 1)))
        except torch.cuda.OutOfMemoryError as error:
            raise Unusable(f"{name}: the GPU's memory is too small; use a smaller --{name}-batch-size") from error
        if not options.json:
            print(as_text(results[-1]), flush=True)
    return results


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""

    def positive(text: str) -> int:
        if int(text) < 1:
            raise argparse.ArgumentTypeError("must be 1 or more")
        return int(text)

    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=("cnn", "transformer", "both"), default="both")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: the best one for the card")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda")
    parser.add_argument("--batches", type=positive, help="training steps to measure (default 100; on the CPU 3)")
    parser.add_argument("--warmup", type=positive, help="steps before that (default 10; on the CPU 1)")
    parser.add_argument("--cnn-batch-size", type=positive, default=256, help="default 256")
    parser.add_argument("--transformer-batch-size", type=positive, help="default 32, safe on a T4 (on the CPU 2)")
    parser.add_argument("--diagnose", action="store_true", help="check that the GPU works, and exit with 1 if not")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Run the benchmark or the diagnosis and return the exit status."""
    if options.device != "cpu" and not torch.cuda.is_available():
        raise Unusable("PyTorch finds no GPU: check `nvidia-smi`, or use --device cpu for a dry run")
    device = torch.device(options.device or "cuda")
    precision = options.precision or default_precision(device)
    warning = check_precision(precision, device)
    document: dict[str, Any] = {"schema": 1, "device": about(device), "precision": precision, "warning": warning}
    if not options.json:
        print(", ".join(f"{key} {value}" for key, value in about(device).items()), flush=True)
    if warning:
        print(f"WARNING: {warning}", file=sys.stderr)
    if options.diagnose:
        document["checks"] = checks = diagnose(device, precision)
        if not options.json:
            print("\n".join(f"{'ok    ' if c['ok'] else 'FAILED'} {c['check']}: {c['detail']}" for c in checks))
    else:
        document["results"] = run_benchmarks(options, device, precision)
    if options.json:
        print(json.dumps(document))
    return 0 if all(check["ok"] for check in document.get("checks", ())) else 1


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, report an error in one sentence, and return the exit status."""
    options = parse(arguments)
    try:
        return run(options)
    except Unusable as error:
        if options.json:
            print(json.dumps({"schema": 1, "error": str(error)}))
        else:
            print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
