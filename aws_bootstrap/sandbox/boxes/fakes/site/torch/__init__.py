"""A fake PyTorch of the aws-bootstrap sandbox: enough for a smoke test, without arithmetic."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__version__ = (Path(__file__).parent / "build.txt").read_text().strip()


class version:  # noqa: N801 (torch's own name)
    """torch.version."""

    _tag = __version__.partition("+cu")[2]
    cuda = f"{_tag[:-1]}.{_tag[-1]}" if _tag else None


class Tensor:
    """A tensor with a shape and no numbers: every result is zero."""

    def __init__(self, *shape: int, device: str = "cpu") -> None:
        self.shape, self.device = shape, device

    def _same(self, *_: object) -> Tensor:
        return self

    __matmul__ = __sub__ = __add__ = __mul__ = abs = max = _same

    def cpu(self) -> Tensor:
        return Tensor(*self.shape)

    def cuda(self) -> Tensor:
        return Tensor(*self.shape, device="cuda")

    def item(self) -> float:
        return 0.0


def randn(*shape: int, device: str = "cpu") -> Tensor:
    return Tensor(*shape, device=device)


class cuda:  # noqa: N801 (torch's own name)
    """torch.cuda."""

    @staticmethod
    def is_available() -> bool:
        return bool(version.cuda)

    @staticmethod
    def device_count() -> int:
        return sum(line.startswith("GPU ") for line in os.popen("nvidia-smi -L"))

    @staticmethod
    def get_device_name(device: int = 0) -> str:
        return os.popen("nvidia-smi --query-gpu=name --format=csv,noheader").readline().strip()


if Path(sys.argv[0]).name == "gpu_benchmark.py":
    sys.stdout.write(
        f"{cuda.get_device_name()}: this is a box of the aws-bootstrap sandbox, which has no GPU to measure.\n"
        "On a real box gpu_benchmark.py reports samples a second, batch times and peak GPU memory here.\n"
    )
    sys.exit(0)


#: What the tests of a cluster find here: that there is nothing to compute with.
CLUSTER_TESTS = {
    "canary.py": {"canary": {"passed": True, "backend": "sandbox"}},
    "allreduce.py": {"allreduce": {"busbw_gb_s": 0.0, "backend": "sandbox", "results": []}},
}
if Path(sys.argv[0]).name in CLUSTER_TESTS and "AWSB_JOB" in os.environ:
    if os.environ.get("RANK") == "0":
        found = CLUSTER_TESTS[Path(sys.argv[0]).name]
        for about in found.values():
            about["world_size"] = int(os.environ["WORLD_SIZE"])
        sys.stdout.write(json.dumps(found) + "\n")
    sys.exit(0)
