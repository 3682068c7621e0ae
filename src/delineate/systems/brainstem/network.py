"""The documented network and its arithmetic, as a configuration of the engine names them."""

from typing import Any

from delineate.systems.brainstem.settings import TrainingConfig

__all__ = ["network_entry", "precision_wish"]


def network_entry(config: TrainingConfig, *, checkpointing: bool) -> dict[str, Any]:
    """The network, as a configuration names it."""
    gradients = config.morphogen == "channels"
    return {
        "name": "MorphogenAugmentedViTGNN" if gradients else "ViTGNN",
        "graph": config.graph,
        "embed_dim": config.embed_dim,
        "vit_layers": config.vit_layers,
        "gnn_layers": config.gnn_layers,
        "num_heads": config.num_heads,
        "mlp_dim": config.mlp_dim,
        "patch_size": config.token_size,
        "width": config.head_width,
        "checkpointing": checkpointing,
    }


def precision_wish(config: TrainingConfig) -> str:
    """As the engine calls it."""
    return "auto" if config.mixed_precision else "fp32"
