import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

TINY = "wordsight-tiny"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A real open_clip architecture small enough for tests, registered under a name of its own."""
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    path = tmp_path_factory.mktemp("configs") / f"{TINY}.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    torch.manual_seed(0)
    model = open_clip.create_model(TINY).eval()
    for parameter in model.parameters():  # first weights are so small that all texts look alike
        if parameter.ndim > 1:
            parameter.data.mul_(4)
    return model


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(tiny_model.state_dict(), path)
    return path


@pytest.fixture
def tiny(tiny_checkpoint):
    from wordsight.train.encoders import load_encoder

    return load_encoder(f"{TINY}:{tiny_checkpoint}")


@pytest.fixture
def separable():
    """Pairs of embeddings, (400, 16) each, that a plane tells apart."""
    rng = np.random.default_rng(0)
    direction = np.zeros(16, np.float32)
    direction[0] = 3
    noise = rng.standard_normal((2, 400, 16)).astype(np.float32)
    return noise[0] - direction, noise[1] + direction
