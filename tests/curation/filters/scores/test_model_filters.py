"""Model filters end to end: the values are the model's own, reasons name them, and nothing is computed twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml
from PIL import Image
from tests.curation.filters.pictures import sharp
from tests.curation.filters.scores.models import save_classifier, save_head

from contracts.embedding_store import EmbeddingStore
from contracts.errors import BrokenArtifact, ConfigError, MissingInput, UserError
from contracts.publish import sha256_file
from contracts.tables import SELECTION, read_table
from curation import api
from curation.build_step import BuildTarget
from curation.explain.in_words import explanation_lines
from curation.filters.filter_files import FILTERS
from curation.filters.scores import classifier, score_pool

LABELS = {0: "drawing", 1: "nsfw", 2: "photo"}
OFF = {name: {} for name in ("short_side_px", "aspect_ratio", "blur", "deviation", "dominant_share", "entropy")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier") / "tiny", LABELS)


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    (tmp_path / "pool").mkdir()
    for number in range(12):
        Image.fromarray(sharp(number)).save(tmp_path / "pool" / f"{number}.png")
    made = api.init(tmp_path / "workspace", api.NewWorkspace([str(tmp_path / "pool")]))
    with api.open_engine("local") as engine:
        api.ingest(made, made.config(), engine)
    return made


def run(workspace: api.Workspace, *models: dict[str, Any], **filters: Any) -> api.FilterStepReport:
    settings = yaml.safe_load(workspace.settings.read_text())
    settings["filters"] = {**OFF, "models": list(models), **filters}
    workspace.settings.write_text(yaml.safe_dump(settings))
    with api.open_engine("local") as engine:
        return api.filter_images(workspace, workspace.config(), engine)


def expected(model: Path, workspace: api.Workspace, column: int) -> dict[str, float]:
    """Key -> probability, by transformers alone."""
    import torch
    import transformers

    net = transformers.AutoModelForImageClassification.from_pretrained(model).eval()
    found = {}
    for row in api_images(workspace):
        with Image.open(row["uri"]) as image:
            small = np.asarray(_resized(np.asarray(image.convert("RGB"))), np.float32)
        pixels = torch.from_numpy(((small / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None])
        with torch.inference_mode():
            found[row["key"]] = float(net(pixel_values=pixels).logits.softmax(dim=1)[0, column])
    return found


def _resized(pixels: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA)


def api_images(workspace: api.Workspace) -> list[dict[str, Any]]:
    from curation.catalog import unique_images

    return unique_images(workspace.catalog).to_pylist()


def values_of(workspace: api.Workspace, name: str) -> dict[str, float | None]:
    rows = read_table(workspace.filters, FILTERS, ["key", name]).to_pylist()
    return {row["key"]: row[name] for row in rows}


def test_probabilities_are_the_models_and_reasons_name_them(model: Path, workspace: api.Workspace) -> None:
    truth = expected(model, workspace, 1)
    middle = float(np.median(list(truth.values())))
    report = run(workspace, {"name": "nsfw", "model": str(model), "label": "NSFW", "above": middle})
    assert values_of(workspace, "nsfw") == pytest.approx(truth, abs=1e-5)
    above = {key for key, value in truth.items() if value > middle}
    assert 0 < len(above) == report.filters.by_filter["nsfw"] < 12
    assert (report.filters.scored_now, report.filters.unscored) == ({"nsfw": 12}, {"nsfw": 0})
    assert report.filters.bounds["nsfw"]["label"] == ["nsfw"]
    rows = {row["key"]: row for row in read_table(workspace.selection, SELECTION).to_pylist()}
    for key in truth:
        assert rows[key]["kept"] == (key not in above)
        if key in above:
            assert rows[key]["reason"].startswith("filtered: nsfw 0.")
    lines = "\n".join(explanation_lines(api.explain(workspace, min(above))))
    assert "OUT: filtered: nsfw 0." in lines and f"nsfw {truth[min(above)]:.4g}" in lines


def test_several_filters_at_once_and_other_bounds_need_neither_model_nor_images(
    model: Path, workspace: api.Workspace, tmp_path: Path
) -> None:
    save_head(tmp_path / "head.safetensors", np.ones((1, 180)), np.array([0.5]))
    filters = [
        {"name": "nsfw", "model": str(model), "label": ["nsfw", "drawing"], "above": 2},
        {"name": "liked", "embeddings": "scene", "head": str(tmp_path / "head.safetensors"), "below": -1000.0},
    ]
    dim = api_dim(workspace)
    save_head(tmp_path / "head.safetensors", np.ones((1, dim)), np.array([0.5]), prefix="linear.")
    report = run(workspace, *filters)
    assert (report.filters.filtered, report.filters.scored_now) == (0, {"nsfw": 12, "liked": 12})
    both = values_of(workspace, "nsfw")
    one, other = expected(model, workspace, 0), expected(model, workspace, 1)
    assert both == pytest.approx({key: one[key] + other[key] for key in one}, abs=1e-5)
    store = EmbeddingStore.open(workspace.embeddings("scene"))
    sums = store.all_vectors().astype(np.float64).sum(axis=1) + 0.5
    assert values_of(workspace, "liked") == pytest.approx(
        dict(zip(store.keys.to_pylist(), sums, strict=True)), rel=1e-5
    )

    (tmp_path / "pool").rename(tmp_path / "away")
    filters[1]["below"] = float(np.sort(sums)[3])
    report = run(workspace, *filters)
    assert (report.filters.scored_now, report.filters.by_filter) == ({"nsfw": 0, "liked": 0}, {"liked": 3})
    assert report.filters.measured_now == 0
    (tmp_path / "away").rename(tmp_path / "pool")
    with api.open_engine("local") as engine:
        api.build(workspace, workspace.config(), engine, BuildTarget())
    card = (workspace.dataset / "README.md").read_text()
    assert "head.safetensors" in card and str(tmp_path / "head") not in card


def api_dim(workspace: api.Workspace) -> int:
    with api.open_engine("local") as engine:
        return api.embed(workspace, workspace.config(), engine, ["scene"])[0].dim


def test_a_killed_run_is_resumed_and_new_images_are_scored_alone(
    model: Path, workspace: api.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"name": "nsfw", "model": str(model), "label": "nsfw", "above": 0.9}
    monkeypatch.setattr("curation.embed.parts.SMALLEST_PART", 4)
    run(workspace, asked)
    first = sha256_file(workspace.filters)
    (file,) = workspace.scores.glob("nsfw-*.parquet")
    whole = sha256_file(file)
    file.unlink()

    calls = []
    real = classifier.write_scores
    published = score_pool.part_file

    def dies_in_the_third(folder: str, part: Any, values: Any) -> int:
        calls.append(part.number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(folder, part, values)

    monkeypatch.setattr(classifier, "write_scores", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(workspace, asked)
    assert published(file.with_suffix(""), 1).is_file() and not file.is_file()
    run(workspace, asked)
    assert calls == [0, 1, 2, 2]
    assert (sha256_file(file), sha256_file(workspace.filters)) == (whole, first)
    assert not file.with_suffix("").exists()

    for number in range(2):
        Image.fromarray(sharp(50 + number)).save(tmp_path / "pool" / f"new{number}.png")
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config(), engine)
    (tmp_path / "pool" / "new1.png").write_bytes(b"")
    report = run(workspace, asked)
    assert (report.filters.scored_now, report.filters.unmeasured) == ({"nsfw": 1}, 1)
    assert pc.sum(pc.is_null(read_table(workspace.filters, FILTERS, ["nsfw"]).column(0))).as_py() == 0


def test_workers_and_precision_change_no_more_than_they_should(model: Path, workspace: api.Workspace) -> None:
    asked = {"name": "nsfw", "model": str(model), "label": "nsfw", "above": 0.9}
    run(workspace, asked)
    plain = values_of(workspace, "nsfw")
    settings = yaml.safe_load(workspace.settings.read_text())
    workspace.settings.write_text(yaml.safe_dump({**settings, "embed": {"decode_threads": 3, "batch_images": 5}}))
    for file in workspace.scores.iterdir():
        file.unlink()
    run(workspace, asked)
    assert values_of(workspace, "nsfw") == pytest.approx(plain, abs=1e-6)
    workspace.settings.write_text(yaml.safe_dump({**settings, "embed": {"precision": "bfloat16"}}))
    assert run(workspace, asked).filters.scored_now == {"nsfw": 12}
    assert values_of(workspace, "nsfw") == pytest.approx(plain, abs=0.05)


def test_labels_are_independent_where_the_model_says_so(tmp_path: Path, workspace: api.Workspace) -> None:
    many = save_classifier(tmp_path / "many", LABELS, problem="multi_label_classification")
    run(workspace, {"name": "any", "model": str(many), "label": ["drawing", "nsfw", "photo"], "above": 0.99})
    values = list(values_of(workspace, "any").values())
    assert min(values) > 0 and max(values) < 1 and len(set(values)) == 12


def test_what_is_asked_wrongly_is_said_in_a_sentence(model: Path, workspace: api.Workspace, tmp_path: Path) -> None:
    head = save_head(tmp_path / "head.safetensors", np.ones((2, 5)))
    (tmp_path / "text.safetensors").write_text("no tensors")
    asked = {"name": "x", "above": 0.5}
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"model": str(model), "label": "nswf"}, UserError, "did you mean 'nsfw'"),
        ({"model": str(tmp_path / "none"), "label": "a"}, MissingInput, "cannot be loaded"),
        ({"embeddings": "scene", "head": "gone.safetensors"}, MissingInput, "no head file"),
        ({"embeddings": "scene", "head": str(tmp_path / "text.safetensors")}, BrokenArtifact, "safetensors"),
        ({"embeddings": "scene", "head": str(head)}, UserError, "2 outputs"),
        ({"embeddings": "scene", "head": str(head), "output": 2}, UserError, "no output 2"),
        ({"embeddings": "scene", "head": str(head), "output": 1}, UserError, "width 5"),
        ({"model": str(model)}, ConfigError, "label"),
        ({"model": str(model), "label": "nsfw", "name": "blur"}, ConfigError, "built-in"),
        ({"model": str(model), "label": "nsfw", "above": None}, ConfigError, "`above` or `below`"),
        ({"embeddings": "scene", "hed": "x"}, ConfigError, "did you mean 'head'"),
    ]
    for case, error, text in cases:
        with pytest.raises(error, match=text):
            run(workspace, {**asked, **case})
    with pytest.raises(ConfigError, match="two filters are called 'x'"):
        run(workspace, {**asked, "model": "m", "label": "l"}, {**asked, "model": "m", "label": "k"})


def test_a_model_without_a_classification_layer_is_refused(tmp_path: Path, workspace: api.Workspace) -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "base")
    asked = {"name": "x", "model": str(tmp_path / "base"), "label": "LABEL_0", "above": 0.5}
    with pytest.raises(UserError, match="ViTModel and no image classifier"):
        run(workspace, asked)
    text = (tmp_path / "base" / "config.json").read_text().replace("ViTModel", "ViTForImageClassification")
    (tmp_path / "base" / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"lack 2 weights .* classifier\.bias"):
        run(workspace, asked)
