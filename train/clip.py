"""open_clip's models: what is known of them, built bare, and filled with a checkpoint that fits to the last tensor."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordsight.train.errors import EncoderError, WeightsUnreachable

__all__ = ["QUICKGELU", "build_model", "config_of_file", "config_of_tag", "fill_model", "tags_name", "tokenizer_of"]

QUICKGELU = "-quickgelu"
"""Ending of a model's name that asks for the activation OpenAI trained with; not every model has a name of its own."""


def tags_name(name: str) -> str:
    """Where open_clip keeps the tags of NAME-quickgelu: under that name where it has such a model, else under NAME."""
    import open_clip

    has_own = bool(open_clip.list_pretrained_tags_by_model(name))
    return name if has_own else name.removesuffix(QUICKGELU)


def config_of_tag(name: str, tag: str) -> dict[str, Any]:
    """What open_clip says about the weights of a tag: `mean`, `std`, `interpolation`, `quick_gelu`, `url`, `hf_hub`."""
    import open_clip

    return dict(open_clip.get_pretrained_cfg(tags_name(name), tag))


def config_of_file(name: str, path: Path) -> tuple[dict[str, Any], str]:
    """What open_clip says about a local file: that of the tag whose file bears this name, else what all tags share.

    Returns:
        The configuration (empty when nothing is known), and a note on what had to be assumed.
    """
    import open_clip

    configs = [config_of_tag(name, tag) for tag in open_clip.list_pretrained_tags_by_model(tags_name(name))]
    for config in configs:
        if config.get("url", "").rpartition("/")[2] == path.name:
            return config, ""
    shared: dict[str, Any] = {}
    unsure = []
    for key, default in (("mean", None), ("std", None), ("interpolation", "bicubic"), ("quick_gelu", False)):
        values = [config.get(key, default) for config in configs]
        if values and all(value == values[0] for value in values):
            shared[key] = values[0]
        elif values and not (key == "quick_gelu" and name.endswith(QUICKGELU)):
            unsure.append({"quick_gelu": "GELU"}.get(key, key))
    note = f"local checkpoint, {' and '.join(unsure)} assumed as in open_clip's default" if unsure else ""
    return {key: value for key, value in shared.items() if value is not None}, note


def build_model(name: str, quick_gelu: bool) -> Any:
    """The architecture with random weights; says nothing about it, and leaves the global random state alone.

    Raises:
        WeightsUnreachable: its text tower is one of transformers', whose configuration lies on the hub.
        EncoderError: it needs a package that is not here, or open_clip cannot build it.
    """
    import open_clip

    try:
        with torch.random.fork_rng(devices=[]), _quiet_logging():
            return open_clip.create_model(_known_name(name), pretrained_text=False, force_quick_gelu=quick_gelu)
    except OSError as error:
        raise WeightsUnreachable(f"{name} needs files from the Hugging Face hub: {_first_line(error)}") from error
    except (RuntimeError, ImportError, ValueError) as error:
        raise EncoderError(f"{name} cannot be built here: {_first_line(error)}") from error


def fill_model(model: Any, state: dict[str, Tensor], name: str, path: Path) -> None:
    """Load a checkpoint into its model; every name and every shape must fit.

    Args:
        model: what `build_model` gave.
        state: names to tensors; older layouts that open_clip knows are converted.
        name: of the model, for the message.
        path: of the checkpoint, for the message.

    Raises:
        EncoderError: a tensor is missing, unknown or of another shape; names the first three.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    # Entries that came and went between versions and hold no weights.
    for key in ("input_resolution", "context_length", "vocab_size", "text.transformer.embeddings.position_ids"):
        state.pop(key, None)

    expected = model.state_dict()
    for key in ("logit_scale", "logit_bias"):  # () or (1,), by version
        if key in state and key in expected and state[key].numel() == 1:
            state[key] = state[key].reshape(expected[key].shape)
    faults = [f"{key} missing" for key in expected if key not in state]
    faults += [f"{key} not of this model" for key in state if key not in expected]
    faults += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise EncoderError(f"{path} does not fit {name}: {'; '.join(faults[:3])}{more}")
    model.load_state_dict(state)


def tokenizer_of(name: str) -> Callable[[list[str]], Tensor]:
    """The model's tokenizer: a list of B texts to (B, C) int64 tokens, C its context length.

    Raises:
        WeightsUnreachable: it is not CLIP's own, and cannot be fetched.
    """
    import open_clip

    known = _known_name(name)
    text = open_clip.get_model_config(known)["text_cfg"]
    if text.get("hf_tokenizer_name") or "siglip" in name.lower():
        source = text.get("hf_tokenizer_name") or "open_clip's SigLIP tokenizers"
        try:
            with _quiet_logging():
                return open_clip.get_tokenizer(known)  # type: ignore[no-any-return]
        except Exception as error:  # transformers raises many kinds where files are missing
            raise WeightsUnreachable(
                f"{name} needs the tokenizer of {source}, which cannot be fetched ({_first_line(error)}). "
                "Load it once with network, so that it lies in the cache, or use a model with CLIP's own tokenizer"
            ) from error
    return open_clip.get_tokenizer(known)  # type: ignore[no-any-return]


def _known_name(name: str) -> str:
    """The name under which open_clip keeps the architecture: the activation is a switch where it has no own name."""
    import open_clip

    return name if name in open_clip.list_models() else name.removesuffix(QUICKGELU)


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """open_clip logs "no pretrained weights loaded" while we are about to load them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]
