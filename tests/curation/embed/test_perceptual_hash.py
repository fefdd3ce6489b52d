"""The hash as a vector: cosines count bits, and a re-encoded picture is nearer than another one."""

from __future__ import annotations

import numpy as np
from PIL import Image
from tests.curation.filters.pictures import sharp

from curation.embed.perceptual_hash import BITS, cosine_of
from curation.embed.table import load_embedder
from curation.ingest.phash import phash


def test_the_cosine_counts_the_bits_that_differ() -> None:
    images = [sharp(number) for number in range(6)]
    vectors = load_embedder("phash").embed_images(images)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (vectors == vectors.astype(np.float16)).all()
    bits = [[(phash(a) ^ phash(b)).bit_count() for b in images] for a in images]
    assert len({count for row in bits for count in row}) > 3
    assert np.allclose(vectors @ vectors.T, 1 - 2 * np.array(bits) / BITS)


def test_a_smaller_picture_is_the_same_one_and_another_is_not() -> None:
    embedder = load_embedder("phash")
    small = np.asarray(Image.fromarray(sharp(1)).resize((96, 72), Image.Resampling.BICUBIC))
    one, copy, other = embedder.embed_images([sharp(1), small, sharp(2)])
    assert embedder.default_threshold == cosine_of(4.5)
    assert one @ copy > cosine_of(4.5) > one @ other
