"""open_clip's models: what is known of them, built bare, and filled with a checkpoint that fits to the last tensor."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordsight.train.errors import EncoderError, WeightsUnreachable
from wordsight.train.weights import check_hub

__all__ = [
    "QUICKGELU",
    "TEMPERATURE",
    "build_model",
    "config_of_file",
    "config_of_tag",
    "fill_model",
    "tags_name",
    "temperature_of",
    "tokenizer_of",
]

QUICKGELU = "-quickgelu"
"""Ending of a model's name that asks for the activation OpenAI trained with; not every model has a name of its own."""
TEMPERATURE = 0.01
"""T of the prompt-guided softmax for encoders that a softmax trained: the paper's, CLIP's logit scale of 100."""

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def tags_name(name: str) -> str:
    """Where open_clip keeps the tags of NAME-quickgelu: under that name where it has such a model, else under NAME."""
    import open_clip

    has_own = bool(open_clip.list_pretrained_tags_by_model(name))
    return name if has_own else name.removesuffix(QUICKGELU)


def config_of_tag(name: str, tag: str) -> dict[str, Any]:
    """What open_clip says about the weights of a tag.

    Keys that may be there: `mean`, `std`, `interpolation`, `resize_mode`, `quick_gelu`, `url`, `hf_hub`.
    """
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
    defaults = {"mean": None, "std": None, "interpolation": "bicubic", "resize_mode": "shortest", "quick_gelu": False}
    for key, default in defaults.items():
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


def temperature_of(model: Any) -> float:
    """T of the softmax over two prompts that suits how the model was trained.

    A softmax trained CLIP, and T is the paper's, `TEMPERATURE`. A sigmoid with a scale and a bias of its own trained
    SigLIP: p = sigmoid(scale * t . e + bias) is the probability that sentence t holds. Of two sentences of which just
    one holds, the anomalous one does with probability p_a (1 - p_n) / (p_a (1 - p_n) + p_n (1 - p_a)), and that is
    sigmoid(scale * (t_a - t_n) . e): the same softmax with T = 1 / scale, from which the bias has gone.

    Args:
        model: an open_clip model, filled; one with a `logit_bias` was trained by a sigmoid.

    Raises:
        EncoderError: the weights hold a scale that is no positive number.
    """
    if getattr(model, "logit_bias", None) is None:
        return TEMPERATURE
    log_scale = float(model.logit_scale.detach())
    # The same bounds as float32's: beyond them the scale, or one over it, is 0 or infinite.
    if not math.isfinite(log_scale) or abs(log_scale) > 80:
        raise EncoderError(f"the weights' logit_scale is {log_scale:g}, expected the logarithm of a scale: a few")
    return math.exp(-log_scale)


def tokenizer_of(name: str, checkpoint: Path | None = None) -> Callable[[list[str]], Tensor]:
    """The model's tokenizer: a list of B texts to (B, C) int64 tokens, C its context length.

    CLIP's own comes with open_clip. Others (SigLIP's) are files on the Hugging Face hub, read by transformers: those
    beside a local checkpoint are taken first, then what the hub's cache holds, then the hub.

    Args:
        name: of the model.
        checkpoint: its local weights, in whose folder the tokenizer's files may lie.

    Raises:
        WeightsUnreachable: it is not CLIP's own, and neither here nor to be fetched, or transformers is missing.
        EncoderError: the files beside the checkpoint are no tokenizer.
    """
    import open_clip

    known = _known_name(name)
    text = open_clip.get_model_config(known)["text_cfg"]
    source = text.get("hf_tokenizer_name")
    if not source:
        return open_clip.get_tokenizer(known)  # type: ignore[no-any-return]
    try:
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise WeightsUnreachable(
            f"{name} has another tokenizer than CLIP's, which transformers reads: pip install 'wordsight[siglip]'"
        ) from error
    folder = None if checkpoint is None else checkpoint.parent
    if folder is not None and (folder / _TOKENIZER_FILES[0]).is_file():
        try:
            return _tokenizer_in(folder, text)
        except Exception as error:  # transformers raises many kinds where files are damaged
            raise EncoderError(
                f"{folder / _TOKENIZER_FILES[0]} is no tokenizer that can be read ({_first_line(error)}): copy it again"
            ) from error
    try:
        with _quiet_logging():
            try:
                return open_clip.get_tokenizer(known, local_files_only=True)  # type: ignore[no-any-return]
            except (OSError, ValueError):  # not in the hub's cache
                check_hub()
                return open_clip.get_tokenizer(known)  # type: ignore[no-any-return]
    except Exception as error:  # transformers raises many kinds where files are missing
        raise WeightsUnreachable(
            f"the tokenizer of {name} is not on this machine and cannot be downloaded ({_first_line(error)}).\n"
            f"Fetch {' and '.join(_TOKENIZER_FILES)} of {source} on the Hugging Face hub elsewhere,\n"
            f"copy them into the folder of the checkpoint, and pass it: --encoder {name}:/path/to/checkpoint"
        ) from error


def _tokenizer_in(folder: Path, text: dict[str, Any]) -> Callable[[list[str]], Tensor]:
    """The tokenizer whose files lie in a folder, with the settings that the model's configuration gives it."""
    from open_clip.tokenizer import HFTokenizer

    with _quiet_logging():
        return HFTokenizer(  # type: ignore[no-any-return]
            str(folder),
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            **text.get("tokenizer_kwargs", {}),
        )


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
