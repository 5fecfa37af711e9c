#!/usr/bin/env bash
# title: CUDA smoke test
# needs: pytorch
# limit: 300
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

# A failure is only a warning: the user needs the box to find the cause.
version=$(gpu_fact toolkit)
try_cuda() {
  timeout 180 "$VENV/bin/python" - "$version" <<'PYTHON'
import sys

import torch

print("torch", torch.__version__, "for CUDA", torch.version.cuda)
if not torch.cuda.is_available():
    sys.exit("torch.cuda.is_available() is false")
print("GPU", torch.cuda.get_device_name(0))
a = torch.randn(1024, 1024, device="cuda")
gap = (a @ a - (a.cpu() @ a.cpu()).cuda()).abs().max().item()
print("matmul: largest difference from the CPU", gap)
if gap > 1.0:
    sys.exit("the GPU's matrix product is wrong")
if sys.argv[1] and torch.version.cuda != sys.argv[1]:
    print("the toolkit is", sys.argv[1], "- extensions compile as long as the major versions agree")
PYTHON
}

# CUDA would wait for a driver that hangs.
if [[ $(gpu_fact state) != works ]]; then
  warn "no working GPU: PyTorch was not tested on one"
elif try_cuda; then
  passed
else
  warn "PyTorch cannot use the GPU: see ~/.aws-bootstrap/setup.log"
fi
