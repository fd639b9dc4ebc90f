#!/bin/bash
# An archive over a Slurm array; each task takes every N-th shard, and finished shards are never done again:
#   export SOURCE=/data/parts-2026 MODEL=/data/line3.onnx OUT=/scratch/parts-2026
#   wordsight archive "$SOURCE" --model "$MODEL" -o "$OUT" --list-only && sbatch --array=0-15 archive.sh
# The same line goes on where an array was ended, by whatever. OUT lies on a file system that all nodes share.
#SBATCH --job-name=wordsight-archive
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=archive-%A_%a.log
# With a GPU to a task:  #SBATCH --gpus-per-task=1

: "${SOURCE:?}" "${MODEL:?}" "${OUT:?}" "${SLURM_ARRAY_TASK_ID:?start it with sbatch}" "${SLURM_ARRAY_TASK_COUNT:?}"
srun wordsight archive "$SOURCE" --model "$MODEL" -o "$OUT" --engine local \
    --shard "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$SLURM_ARRAY_TASK_COUNT"
code=$?
# 1 means that some pictures could not be read: they are listed, and the share is done.
[ "$code" -eq 1 ] && code=0
exit "$code"
