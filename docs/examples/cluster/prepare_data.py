"""Prepare the data of train.py, once on each node, before the training starts there.

It is safe to repeat: a data set that exists is kept. A restart runs it again, on a new node too. Replace `dataset`
by your own work: a download from S3, an extraction, a conversion.
"""

import os
from pathlib import Path

import torch

# On the data volume if the box has one. Not in the code folder, which follows the folder on your own machine.
FOLDER = (Path("/data") if os.path.ismount("/data") else Path.home()) / "cluster-example"
FILE = FOLDER / "train.pt"

SAMPLES, FEATURES, HIDDEN = 8192, 8, 64


def dataset():
    """Return inputs and targets. They are the same on every node, as the seed is."""
    seeded = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, FEATURES, generator=seeded)
    first = torch.randn(FEATURES, HIDDEN, generator=seeded) / FEATURES**0.5
    second = torch.randn(HIDDEN, 1, generator=seeded) / HIDDEN**0.5
    noise = 0.05 * torch.randn(SAMPLES, 1, generator=seeded)
    return {"inputs": inputs, "targets": torch.tanh(inputs @ first) @ second + noise}


def main():
    """Write the data set, complete or not at all: one that was interrupted does not count as prepared."""
    if FILE.exists():
        print(f"{FILE} exists", flush=True)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    draft = FILE.with_suffix(f".{os.getpid()}")
    torch.save(dataset(), draft)
    draft.replace(FILE)
    print(f"{FILE} has {SAMPLES} samples", flush=True)


if __name__ == "__main__":
    main()
