from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import UserError
from curation.sources.uri import member_uri
from curation.write.datacomp_subset import subset_array, write_subset

UIDS = ["ffffffffffffffff0000000000000001", "00000000000000010000000000000002", "0000000000000001ffffffffffffffff"]


def datacomp_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_both_halves_sorted_as_the_resharder_reads_them() -> None:
    array = subset_array(UIDS)
    assert array.dtype == np.dtype("u8,u8")
    assert array.tolist() == [(1, 2), (1, 2**64 - 1), (2**64 - 1, 1)]


def test_uids_come_from_the_json_beside_the_chosen_images(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number, uid in enumerate(UIDS):
        members[f"a/{number:09d}.jpg"] = b"x"
        members[f"a/{number:09d}.json"] = json.dumps({"uid": uid, "caption": "c"}).encode()
    members |= {"a/9.jpg": b"x", "a/9.json": b"not json"}
    tar = datacomp_tar(tmp_path / "00000000.tar", members)
    chosen = [
        member_uri(tar, "a/000000002.jpg"),
        member_uri(tar, "a/000000000.jpg"),
        member_uri(tar, "a/9.jpg"),
        "/a/b.jpg",
    ]
    report = write_subset(tmp_path / "subset.npy", chosen)
    assert (report.written, report.without_uid) == (2, 2)
    assert np.load(tmp_path / "subset.npy", allow_pickle=False).tolist() == [(1, 2**64 - 1), (2**64 - 1, 1)]


def test_no_uid_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 1 images comes from a DataComp tar"):
        write_subset(tmp_path / "subset.npy", ["/a/b.jpg"])
    assert list(tmp_path.iterdir()) == []
