"""Under which licence weights were published, as far as open_clip's tables tell who published them."""

from typing import Any

__all__ = ["licence_of", "licence_of_file"]

APPLE_LICENCE = "Apple-AMLR (research only)"
"""Apple's licence for models: research purposes, no product."""
_UNKNOWN = "unknown: see the publisher"


def licence_of(tag: str, config: dict[str, Any]) -> str:
    """The licence that the publisher of a tag's weights states, or where to look.

    Args:
        tag: one of open_clip's.
        config: what open_clip says about it.
    """
    repository = config.get("hf_hub", "")
    publisher = repository.split("/")[0]
    if publisher == "laion" or tag in ("openai", "laion400m_e31", "laion400m_e32", "laion2b_e16"):
        return "MIT"
    # Apple's are also kept by others, under their own names: MobileCLIP2 by timm.
    if publisher == "apple" or "MobileCLIP" in repository:
        return APPLE_LICENCE
    if "PE-Core" in repository:
        return "Apache-2.0"
    return {"webli": "Apache-2.0", "metaclip_400m": "CC-BY-NC-4.0", "metaclip_fullcc": "CC-BY-NC-4.0"}.get(
        tag, _UNKNOWN
    )


def licence_of_file(name: str, config: dict[str, Any]) -> str:
    """The licence of a local checkpoint: that of the tag whose file it is, or what the published weights have.

    Args:
        name: open_clip's name of the model.
        config: what open_clip says about the tag whose file bears this name; without a `url` it is not known which.
    """
    import open_clip

    configs = {tag: open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    for tag, known in configs.items():
        if config.get("url") and known.get("url") == config["url"]:
            return licence_of(tag, known)
    licences = sorted({licence_of(tag, known) for tag, known in configs.items()} - {_UNKNOWN})
    # Someone may have trained these weights anew: what is published can be said, what this file is cannot.
    return "unknown: local checkpoint" + (f"; published weights of {name}: {', '.join(licences)}" if licences else "")
