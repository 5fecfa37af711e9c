#!/usr/bin/env bash
# title: VSCode workspace
# after: gpu
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

cuda_gdb=$(find_cuda_tool cuda-gdb || echo /usr/local/cuda/bin/cuda-gdb)
arch=$(gpu_fact arch)
for template in extensions.json launch.json tasks.json; do
  sed -e "s|__CUDA_GDB_PATH__|$cuda_gdb|g" -e "s|__GPU_ARCH__|$arch|g" "$SETUP_DIR/$template" >"$STEP_TMP/$template"
  deploy "$STEP_TMP/$template" "$HOME/workspace/.vscode/$template"
done
deploy "$SETUP_DIR/saxpy.cu" "$HOME/workspace/saxpy.cu"
