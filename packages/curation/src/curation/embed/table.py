"""The table of embedders. Adding one is one file and one line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from contracts.errors import MissingInput
from curation.embed.config import EmbedConfig
from curation.embed.embedder import Embedder
from curation.embed.importing.stored import PREFIX, is_imported


def _descriptor(_spec: str, _settings: EmbedConfig) -> Embedder:
    from curation.embed.copy_descriptor import CopyDescriptor

    return CopyDescriptor()


def _scene(_spec: str, _settings: EmbedConfig) -> Embedder:
    from curation.embed.scene import SceneDescriptor

    return SceneDescriptor()


def _torchscript(spec: str, settings: EmbedConfig) -> Embedder:
    from curation.embed.torchscript import TorchScriptEmbedder

    return TorchScriptEmbedder(Path(spec), settings)


def _huggingface(spec: str, settings: EmbedConfig) -> Embedder:
    from curation.embed.huggingface import HuggingFaceEmbedder

    return HuggingFaceEmbedder(spec, settings)


def _phash(_spec: str, _settings: EmbedConfig) -> Embedder:
    from curation.embed.perceptual_hash import PerceptualHash

    return PerceptualHash()


def _timm(spec: str, settings: EmbedConfig) -> Embedder:
    from curation.embed.timm_model import TimmEmbedder

    return TimmEmbedder(spec, settings)


# Names that need no file.
EMBEDDERS: dict[str, Callable[[str, EmbedConfig], Embedder]] = {
    "descriptor": _descriptor,
    "phash": _phash,
    "scene": _scene,
}
# Files by their ending; everything else is a Hugging Face folder or hub id.
FILE_EMBEDDERS: dict[str, Callable[[str, EmbedConfig], Embedder]] = {
    ".pt": _torchscript,
    ".ts": _torchscript,
    ".torchscript": _torchscript,
}
# Libraries of models, by the beginning of the spec.
LIBRARIES: dict[str, Callable[[str, EmbedConfig], Embedder]] = {"timm": _timm}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def load_embedder(spec: str, settings: EmbedConfig | None = None) -> Embedder:
    """The embedder that a spec names. Errors: MissingInput for what is no known name, file, folder or hub id."""
    settings = settings or EmbedConfig()
    if is_imported(spec):
        raise MissingInput(
            f"{spec} stands for vectors that were imported, so it embeds no new image: name the model that made them"
        )
    if spec in EMBEDDERS:
        return EMBEDDERS[spec](spec, settings)
    library, colon, _ = spec.partition(":")
    if colon and library in LIBRARIES:
        return LIBRARIES[library](spec, settings)
    path = Path(spec)
    if path.suffix in FILE_EMBEDDERS:
        if not path.is_file():
            raise MissingInput(f"the model file {spec} is not there: give the path of a TorchScript file")
        return FILE_EMBEDDERS[path.suffix](spec, settings)
    if path.is_dir():
        return _huggingface(str(model_folder(path)), settings)
    if _HUB_ID.fullmatch(spec):
        return _huggingface(spec, settings)
    raise MissingInput(
        f"the model {spec!r} is not known: give one of {', '.join(sorted(EMBEDDERS))}, a folder or hub id of a "
        "Hugging Face vision model, a TorchScript file (*.pt), timm:NAME, or a run of trainer pretrain"
    )


def is_local(spec: str) -> bool:
    """Whether a model can be had without a download: a built-in one, a file, a folder, or a name that nothing has."""
    library, colon, _ = spec.partition(":")
    if colon and library in LIBRARIES:
        return "=" in spec
    path = Path(spec)
    return path.suffix in FILE_EMBEDDERS or path.is_dir() or not _HUB_ID.fullmatch(spec)


def model_folder(path: Path) -> Path:
    """The folder with config.json: the given one, or the export/ of a run. Errors: MissingInput."""
    for folder in (path, path / "export"):
        if (folder / "config.json").is_file():
            return folder
    raise MissingInput(
        f"{path} has neither config.json nor export/config.json: give a Hugging Face model folder or a finished run"
    )


def model_name(spec: str) -> str:
    """A name for files and folders: table names stay, others get a short hash of the full spec."""
    if spec in EMBEDDERS:
        return spec
    if is_imported(spec):
        return f"imported-{spec.removeprefix(PREFIX)}"
    path = Path(spec)
    full = str(path.resolve()) if path.exists() else spec
    parts = [part for part in path.parts if part not in ("/", "..", ".", "export")][-2:]
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts)).strip("-.") or "model"
    return f"{readable[:60]}-{hashlib.sha256(full.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
