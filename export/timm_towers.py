"""timm's image towers (SigLIP2, PE-Core, MobileCLIP2) in the form that engines like.

FastViT, MobileCLIP's tower, trains several convolutions side by side, each with a batch norm, around a skip. In
evaluation mode all of that is linear, so it is one convolution (Vasu et al., *FastViT*, arXiv 2303.14189, section 3.2).
That spares passes over memory rather than arithmetic: MobileCLIP2-S0 goes from 119 convolutions and 114 batch norms to
95 and 22, its operations from 4.77 to 4.75 GFLOP. timm knows how each of its modules merges.
"""

from __future__ import annotations

from torch import Tensor, nn


class MeanPool(nn.Module):
    """The mean over rows and columns, (N, C, H, W) to (N, C, 1, 1).

    What ``nn.AdaptiveAvgPool2d(1)`` computes; torch's exporter writes that one down as a mean whose numbers are then
    gathered one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Mean over the last two axes, which stay with length 1."""
        return x.mean(dim=(2, 3), keepdim=True)


def merge_branches(twin: nn.Module) -> nn.Module:
    """Merge the branches of a timm tower and plainly average its last grid; other towers are left as they are.

    Args:
        twin: an image tower in evaluation mode whose modules are its own, such as `with_plain_attention` gives. Its
            parameters may be shared: merging makes new ones and changes none.

    Returns:
        ``twin`` itself, changed.
    """
    from open_clip.timm_model import TimmModel
    from timm.utils.model import reparameterize_model

    if not isinstance(twin, TimmModel):
        return twin
    merged: nn.Module = reparameterize_model(twin, inplace=True)
    for name, module in list(merged.named_modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            parent, _, leaf = name.rpartition(".")
            setattr(merged.get_submodule(parent), leaf, MeanPool())
    return merged.eval()
