"""The text side of CLIP-like models: words as a vector in the space of the images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError
from curation.embed.config import EmbedConfig
from curation.embed.huggingface_files import cannot_load, load_transformers
from curation.embed.importing.stored import is_imported
from curation.embed.table import EMBEDDERS, FILE_EMBEDDERS, LIBRARIES, model_folder
from curation.embed.torch_device import load_torch, use_threads
from curation.index.mirror_cosine import unit_rows

_INPUTS = ("input_ids", "attention_mask")
ADVICE = "for words, embed with a CLIP-like model, such as `curate embed --model openai/clip-vit-base-patch32`"


def without_text(spec: str) -> str | None:
    """Why a model takes no words, told without loading it; None when it may take some."""
    path = Path(spec)
    if is_imported(spec):
        return f"{spec} are vectors without their model, so they cannot be searched by words: {ADVICE}"
    no_text = spec in EMBEDDERS or path.suffix in FILE_EMBEDDERS or spec.partition(":")[0] in LIBRARIES
    if not no_text and path.is_dir():
        config = json.loads((model_folder(path) / "config.json").read_text(encoding="utf-8"))
        no_text = "text_config" not in config
    return f"{spec} sees pictures alone, so it cannot be searched by words: {ADVICE}" if no_text else None


class TextSide:
    """A loaded text tower. Errors: UserError when the model takes no words, MissingInput when it cannot be loaded."""

    def __init__(self, spec: str, settings: EmbedConfig) -> None:
        if problem := without_text(spec):
            raise UserError(problem)
        use_threads(settings)
        folder = str(model_folder(Path(spec))) if Path(spec).is_dir() else spec
        transformers = load_transformers(spec)
        try:
            self._model: Any = transformers.AutoModel.from_pretrained(folder).eval()
            self._words: Any = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise cannot_load(spec, error) from None
        if not hasattr(self._model, "get_text_features"):
            raise UserError(f"{spec} sees pictures alone, so it cannot be searched by words: {ADVICE}")

    def vector(self, words: str) -> NDArray[np.float32]:
        """The unit vector of a text; what is too long for the model is cut. Shapes: [D]."""
        torch = load_torch()
        limit = getattr(getattr(self._model.config, "text_config", None), "max_position_embeddings", None)
        tokens = self._words([words], return_tensors="pt", truncation=True, padding="max_length", max_length=limit)
        with torch.inference_mode():
            found = self._model.get_text_features(**{name: tokens[name] for name in _INPUTS if name in tokens})
        vector: NDArray[np.float32] = unit_rows(getattr(found, "pooler_output", found).float().numpy())[0]
        return vector
