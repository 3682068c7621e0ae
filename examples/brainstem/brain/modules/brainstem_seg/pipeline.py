"""Train with the documented settings and folders: python -m brain.modules.brainstem_seg.pipeline

All names of the system are here, too.
"""

from delineate.plain_errors import plain_errors
from delineate.systems.brainstem import *  # noqa: F403 -- listed there
from delineate.systems.brainstem import BrainstemTrainer, TrainingConfig


def main() -> None:
    """Train."""
    with plain_errors():
        BrainstemTrainer(
            config=TrainingConfig(),
            data_dir="data/datasets/brainstem_segmentation",
            output_dir="data/models/brainstem_segmentation",
        ).train()


if __name__ == "__main__":
    main()
