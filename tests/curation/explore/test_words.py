"""Search by words through the text tower of a CLIP model in Hugging Face's layout."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from tests.curation.small_pool import COLOURS, SmallPool, make_small_pool, picture

from curation import api
from curation.explore.access import Access
from curation.explore.app import make_app
from curation.explore.explorer import Explorer

LONGEST_TEXT, SIDE_PX = 12, 24
ENDS = ("<|startoftext|>", "<|endoftext|>")


def letters() -> dict[str, int]:
    """A vocabulary of letters, each also as the end of a word, as CLIP's byte pairs begin."""
    tokens = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase), *ENDS]
    return {token: number for number, token in enumerate(tokens)}


def tiny_clip(folder: Path) -> Path:
    """A CLIP model with random towers whose text projection is fitted: the name of a colour lies with its pictures."""
    import transformers

    words = letters()
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": words[ENDS[0]], "eos_token_id": words[ENDS[1]], "pad_token_id": words[ENDS[1]]}
    text = {**tower, **ends, "vocab_size": len(words), "max_position_embeddings": LONGEST_TEXT}
    vision = {**tower, "image_size": SIDE_PX, "patch_size": 8}
    torch.manual_seed(0)
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    prepare = {"size": {"shortest_edge": SIDE_PX}, "crop_size": {"height": SIDE_PX, "width": SIDE_PX}}
    processor = transformers.CLIPImageProcessor(**prepare)
    fit_text_to_pictures(model.eval(), tokenizer, processor)
    for part in (model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


@torch.no_grad()
def fit_text_to_pictures(model: Any, tokenizer: Any, processor: Any) -> None:
    """Least squares from the pooled tokens of colour names to what sets pictures of that colour apart."""
    names = list(COLOURS)
    pictures = [picture(name, 1000 + number) for name in names for number in range(4)]
    seen = model.get_image_features(**processor(pictures, return_tensors="pt"))
    seen = torch.nn.functional.normalize(getattr(seen, "pooler_output", seen), dim=-1).view(len(names), 4, -1).mean(1)
    tokens = tokenizer(names, padding="max_length", max_length=LONGEST_TEXT, return_tensors="pt")
    read = model.text_model(**tokens).pooler_output
    model.text_projection.weight.copy_(torch.linalg.lstsq(read, seen - seen.mean(0)).solution.T)


@pytest.fixture
def small(tmp_path: Path) -> SmallPool:
    small = make_small_pool(tmp_path)
    model = tiny_clip(tmp_path / "clip")
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, small.config(), engine)
        api.embed(small.workspace, small.config(), engine, [str(model), "descriptor"])
    return small


def test_words_bring_the_pictures_that_the_model_puts_beside_them(small: SmallPool, tmp_path: Path) -> None:
    app = make_app(Explorer(small.workspace, small.config()), Access("127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1:8642", headers={"X-Winnow": "1"}) as page:

        def brought(words: str, **asked: Any) -> Any:
            return page.post("/api/search/words", json={"words": words, **asked})

        asked = {"model": str(tmp_path / "clip"), "count": 10}
        for name in COLOURS:
            found = brought(name, **asked)
            assert found.status_code == 200, found.text
            images = found.json()["images"]
            places = [page.get(f"/api/image/{image['key']}").text for image in images]
            assert sum(f"/{name}/" in place or f"{name} 2" in place for place in places) >= 9, name
            assert images[0]["cosine"] > 0 and images == sorted(images, key=lambda one: -one["cosine"])
        longer = brought("red " * 240, **asked)
        assert longer.status_code == 200, "words beyond what the model reads are cut off"
        refused = brought("red", model="descriptor")
        assert refused.status_code == 400 and "CLIP" in refused.json()["error"]
