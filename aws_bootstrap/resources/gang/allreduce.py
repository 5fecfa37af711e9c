"""Measure the bandwidth of all-reduce over all processes.

A job of torchrun. Rank 0 prints one line of JSON: {"allreduce": {"backend", "world_size", "busbw_gb_s", "results":
[{"bytes", "seconds", "algbw_gb_s", "busbw_gb_s"}]}}. The two bandwidths are those of nccl-tests, in 10^9 bytes a
second: algbw is size / time, and busbw is algbw * 2 * (n - 1) / n, which compares with the bandwidth of the network
whatever the number of processes n. https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
"""

import datetime
import json
import os
import time

import torch
import torch.distributed as dist

MIB = 1 << 20
SIZES = {"cuda": (MIB, 16 * MIB, 128 * MIB, 512 * MIB), "cpu": (MIB // 16, MIB, 16 * MIB)}
WARM_UPS = {"cuda": 5, "cpu": 1}
ROUNDS = {"cuda": 20, "cpu": 5}
LIMIT = datetime.timedelta(seconds=120)


def main():
    """Measure each size."""
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LIMIT)
    processes = dist.get_world_size()
    results = []
    for size in SIZES[device.type]:
        seconds = measure(size, device)
        algbw = size / seconds / 1e9
        busbw = algbw * 2 * (processes - 1) / processes
        found = {"bytes": size, "seconds": seconds, "algbw_gb_s": round(algbw, 4), "busbw_gb_s": round(busbw, 4)}
        results.append(found)
    if dist.get_rank() == 0:
        about = {
            "backend": dist.get_backend(),
            "world_size": processes,
            "busbw_gb_s": max(found["busbw_gb_s"] for found in results),
            "results": results,
        }
        print(json.dumps({"allreduce": about}), flush=True)
    dist.destroy_process_group()


def measure(size, device):
    """Return how long one all-reduce takes, by the slowest process."""
    values = torch.zeros(size // 4, dtype=torch.float32, device=device)
    for _ in range(WARM_UPS[device.type]):
        dist.all_reduce(values)
    wait_for(device)
    dist.barrier()
    begin = time.perf_counter()
    for _ in range(ROUNDS[device.type]):
        dist.all_reduce(values)
    wait_for(device)
    seconds = torch.tensor([time.perf_counter() - begin], dtype=torch.float64, device=device)
    dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
    return seconds.item() / ROUNDS[device.type]


def wait_for(device):
    """Wait until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
