"""Train a small model on all GPUs of all nodes with DistributedDataParallel, and continue from checkpoints.

On one machine, after `python prepare_data.py`:

    torchrun --nproc-per-node 2 train.py --steps 300

The global batch does not depend on the number of processes, so neither do the loss and the learning rate: what was
tuned on one GPU holds for a cluster. Without a GPU it trains on the CPU.
"""

import argparse
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import prepare_data

CHECKPOINTS = Path(os.environ.get("AWSB_CHECKPOINT_DIR") or "checkpoints")
KEEP = 2  # checkpoints


def arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300, help="train up to this step")
    parser.add_argument("--global-batch", type=int, default=256, help="samples a step, of all processes together")
    parser.add_argument("--checkpoint-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--print-every", type=int, default=10, metavar="STEPS")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS", help="sleep after each step, for tests")
    return parser.parse_args()


def connect():
    """Join the other processes. Return the device of this one."""
    if not torch.cuda.is_available():
        dist.init_process_group("gloo")
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    return device


def new_model():
    """Return a model that is the same in each process."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(prepare_data.FEATURES, 128),
        torch.nn.Tanh(),
        torch.nn.Linear(128, 1),
    )


def batch_of(data, step, size):
    """Return this process's part of a global batch.

    Its samples depend on the step alone: a training that continues sees those that it would have seen.
    """
    seeded = torch.Generator().manual_seed(step)
    samples = torch.randint(len(data["inputs"]), (size,), generator=seeded)
    mine = samples[dist.get_rank() :: dist.get_world_size()]
    return data["inputs"][mine], data["targets"][mine]


# --- checkpoints -------------------------------------------------------------------------------------------


def checkpoints():
    """Return the checkpoints of this node, the newest last."""
    return sorted(CHECKPOINTS.glob("step-*.pt"))


def save(step, model, optimizer):
    """Write a checkpoint on each node, so that any node that is left can continue.

    One process a node writes. The file appears under its name when it is complete and on the disk.
    """
    if int(os.environ["LOCAL_RANK"]) != 0:
        return
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    path = CHECKPOINTS / f"step-{step:09}.pt"
    draft = path.with_suffix(".draft")
    with open(draft, "wb") as file:
        torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    for old in checkpoints()[:-KEEP]:
        old.unlink()


def resume(model, optimizer, device):
    """Load the newest checkpoint of all nodes into every process. Return its step, 0 without one.

    A new node has no checkpoint, and one that failed may have an older one. So the process with the highest step
    sends its own to all.
    """
    state = None
    found = checkpoints()
    if found:
        state = torch.load(found[-1], map_location="cpu", weights_only=True)
    steps = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(steps, torch.tensor([state["step"] if state else 0], device=device))
    newest = max(range(len(steps)), key=lambda rank: int(steps[rank]))
    if int(steps[newest]) == 0:
        return 0
    sent = [state]
    dist.broadcast_object_list(sent, src=newest, device=device)
    model.load_state_dict(sent[0]["model"])
    optimizer.load_state_dict(sent[0]["optimizer"])
    return sent[0]["step"]


# --- training ----------------------------------------------------------------------------------------------


def train_step(model, optimizer, batch, size):
    """Do one step. Return the mean loss of the global batch.

    DistributedDataParallel takes the mean of the processes' gradients. So each process adds its losses up, and divides
    them by its share of the global batch: correct for parts of different sizes, too.
    """
    inputs, targets = batch
    loss = (model(inputs) - targets).square().sum() * dist.get_world_size() / size
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total = loss.detach()
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def train(options, device):
    """Train from the newest checkpoint to the last step."""
    if not prepare_data.FILE.exists():
        raise SystemExit(f"{prepare_data.FILE} is missing. Run prepare_data.py on each node first.")
    loaded = torch.load(prepare_data.FILE, weights_only=True)
    data = {name: tensor.to(device) for name, tensor in loaded.items()}
    model = new_model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    start = resume(model, optimizer, device)
    parallel = DistributedDataParallel(model)
    if dist.get_rank() == 0:
        print(f"{dist.get_world_size()} processes continue after step {start}", flush=True)
    for step in range(start + 1, options.steps + 1):
        loss = train_step(parallel, optimizer, batch_of(data, step, options.global_batch), options.global_batch)
        is_last = step == options.steps
        if dist.get_rank() == 0 and (is_last or step % options.print_every == 0):
            print(f"step {step} loss {loss:.6f}", flush=True)
        if is_last or step % options.checkpoint_every == 0:
            save(step, model, optimizer)
        time.sleep(options.slow)


def main():
    """Train. Leave the group only when all processes are done, since each needs the others until then."""
    options = arguments()
    train(options, connect())
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
