"""Show that the nodes can train together: sums over all processes, then a few steps of a small model.

A job of torchrun. Rank 0 prints one line of JSON: {"canary": {"passed", "backend", "world_size", "torch", "sums",
"steps", "largest_difference", "losses"}}. It fails if a sum is wrong, or the parameters differ between processes.
"""

import datetime
import json
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

STEPS = 5
#: Elements of what is summed: one that fits into a packet, one that is cut into many.
SIZES = (1, 1000, 1 << 20)
#: A node that does not answer fails the canary after so long.
LIMIT = datetime.timedelta(seconds=120)


def main():
    """Run the canary. Exit with 1 if it has failed, on all nodes."""
    device = own_device()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LIMIT)
    sums = all_sums(device)
    difference, losses = train(device)
    passed = agreed(all(sums.values()) and difference == 0, device)
    if dist.get_rank() == 0:
        found = {
            "passed": passed,
            "backend": dist.get_backend(),
            "world_size": dist.get_world_size(),
            "torch": torch.__version__,
            "sums": sums,
            "steps": STEPS,
            "largest_difference": difference,
            "losses": losses,
        }
        print(json.dumps({"canary": found}), flush=True)
    dist.destroy_process_group()
    if not passed:
        sys.exit(1)


def own_device():
    """Return the GPU of this process, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def all_sums(device):
    """Return for each size whether the sum over all processes is right. Each adds its rank + 1."""
    size = dist.get_world_size()
    expected = size * (size + 1) / 2
    found = {}
    for elements in SIZES:
        values = torch.full((elements,), dist.get_rank() + 1.0, device=device)
        dist.all_reduce(values)
        found[str(elements)] = bool((values == expected).all())
    return found


def train(device):
    """Train on data of each process's own. Return by how much the parameters differ after it, and the losses of rank 0.

    The processes begin with different parameters: DistributedDataParallel sends those of rank 0 to the others.
    """
    torch.manual_seed(dist.get_rank())
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).to(device)
    parallel = DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.05)
    losses = []
    for _ in range(STEPS):
        inputs = torch.randn(16, 32, device=device)
        loss = torch.nn.functional.mse_loss(parallel(inputs), inputs.sum(dim=1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 4))
    return largest_difference(model), losses


def largest_difference(model):
    """Return the largest difference of a parameter between two processes."""
    parameters = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    highest, lowest = parameters.clone(), parameters.clone()
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    dist.all_reduce(lowest, op=dist.ReduceOp.MIN)
    return (highest - lowest).max().item()


def agreed(passed, device):
    """Return whether it has passed on every process."""
    value = torch.tensor([float(passed)], device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MIN)
    return bool(value.item() == 1)


if __name__ == "__main__":
    main()
