#!/bin/bash
#SBATCH --job-name=sota_training
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=logs/sota_training_%j.out
#SBATCH --error=logs/sota_training_%j.err

# From inside the folder of sota_training_pipeline.py:
#
#   sbatch scripts/sota_submission_script.sh [options of the pipeline]
#
# Partition, account and memory go on the command line of sbatch. What your cluster needs before
# Python (module load, conda activate, source .../bin/activate) goes into environment.sh there.

if [ -f environment.sh ]; then
    source environment.sh
fi

code=0
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    python sota_training_pipeline.py "${@:---progressive}" || code=$?

# 138: warned before the time limit, all is saved; the same command goes on in another life.
if [ "$code" -eq 138 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ]; then
    scontrol requeue "$SLURM_JOB_ID" && exit
fi
exit "$code"
