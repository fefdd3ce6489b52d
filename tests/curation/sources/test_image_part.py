from __future__ import annotations

import pickle

import pyarrow as pa

from curation.sources.image_part import cut_images


def test_parts_follow_the_archives_and_a_sent_part_brings_its_own_rows_alone() -> None:
    images = pa.table(
        {"key": [f"{n:024d}" for n in range(10_000)], "uri": [f"/{n % 7}.tar#{n}.jpg" for n in range(10_000)]}
    )
    parts = cut_images(images, 5, 3_000)
    assert [part.number for part in parts] == [5, 6, 7, 8]
    assert [len(part.keys) for part in parts] == [3_000, 3_000, 3_000, 1_000]
    places = [uri.partition("#")[0] for part in parts for uri in part.uris]
    assert places == sorted(places)
    sent = pickle.dumps(parts[3])
    assert len(sent) < len(pickle.dumps(images)) / 5
    received = pickle.loads(sent)
    assert (received.number, received.keys, received.uris) == (8, parts[3].keys, parts[3].uris)
