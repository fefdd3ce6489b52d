from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from curation.write.tar_writer import LONGEST_NAME, TarWriter


def by_tarfile(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o444
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("count", [0, 1, 9, 40])
def test_the_bytes_are_those_of_tarfile(count: int) -> None:
    sizes = [0, 1, 511, 512, 513, 5000]
    files = {f"{n:0{n % 40 + 1}d}.jpg": bytes([n]) * sizes[n % len(sizes)] for n in range(count)}
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    for name, data in files.items():
        tar.add(name, data)
    assert tar.finish() == (len(buffer.getvalue()), hashlib.sha256(buffer.getvalue()).hexdigest())
    assert buffer.getvalue() == by_tarfile(files)


def test_a_name_of_full_length_fits_and_a_longer_one_does_not() -> None:
    buffer = io.BytesIO()
    tar = TarWriter(buffer)
    tar.add("a" * LONGEST_NAME, b"x")
    with pytest.raises(ValueError, match="does not fit"):
        tar.add("a" * (LONGEST_NAME + 1), b"x")
    tar.finish()
    assert buffer.getvalue() == by_tarfile({"a" * LONGEST_NAME: b"x"})
