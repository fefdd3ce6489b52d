from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainer.data.decode import image as decoding
from trainer.data.decode.image import BadImage, Canvas, decode_image, exif_orientation, upright

ImageBytes = Callable[..., bytes]


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_equals_pillow(image_bytes: ImageBytes, subsampling: int) -> None:
    data = image_bytes(1, subsampling=subsampling, quality=90)
    difference = decode_image(data).astype(int) - pillow(data)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats_equal_pillow(image_bytes: ImageBytes, kind: str) -> None:
    data = image_bytes(2, kind)
    assert (decode_image(data) == pillow(data)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(pixels: Callable[..., np.ndarray], orientation: int) -> None:
    picture = Image.fromarray(pixels(3))
    exif = picture.getexif()
    exif[0x0112] = orientation
    data = saved(picture, "JPEG", exif=exif, quality=95)
    assert exif_orientation(data) == orientation
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.abs(decode_image(data).astype(int) - wanted).max() <= 1
    assert (decode_image(saved(picture, "PNG", exif=exif)) == upright(pixels(3), orientation)).all()


def test_broken_exif_counts_as_none(image_bytes: ImageBytes) -> None:
    data = image_bytes(0)
    for block in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01",
    ):
        marker = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
        assert decode_image(data[:2] + marker + data[2:]).shape == (48, 64, 3)


def test_transparency_lies_over_white(pixels: Callable[..., np.ndarray]) -> None:
    rgba = np.dstack([pixels(4), np.full((48, 64), 255, np.uint8)])
    rgba[:24, :, 3] = 0
    decoded = decode_image(saved(Image.fromarray(rgba), "PNG"))
    assert (decoded[:24] == 255).all()
    assert (decoded[24:] == rgba[24:, :, :3]).all()
    palette = Image.fromarray(pixels(4)).quantize(8)
    index = palette.getpixel((0, 0))
    over_white = decode_image(saved(palette, "PNG", transparency=index))
    assert (over_white[0, 0] == 255).all()


def test_odd_modes_become_rgb(pixels: Callable[..., np.ndarray]) -> None:
    picture = Image.fromarray(pixels(5))
    gray = np.asarray(picture.convert("L"))
    assert np.abs(decode_image(saved(picture.convert("CMYK"), "JPEG", quality=95)).astype(int) - pixels(5)).mean() < 8
    assert (decode_image(saved(picture.convert("L"), "PNG")) == gray[..., None]).all()
    assert (
        np.abs(decode_image(saved(picture.convert("L"), "JPEG", quality=98)).astype(int) - gray[..., None]).max() < 12
    )
    sixteen = Image.fromarray((gray.astype(np.uint16) << 8) + 77)
    assert (decode_image(saved(sixteen, "PNG")) == gray[..., None]).all()
    assert set(np.unique(decode_image(saved(picture.convert("1"), "PNG")))) == {0, 255}


def test_only_the_first_frame_counts(pixels: Callable[..., np.ndarray]) -> None:
    frames = [Image.fromarray(pixels(n)).quantize(64) for n in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_image(data) == np.asarray(frames[0].convert("RGB"))).all()


def test_channels(pixels: Callable[..., np.ndarray], image_bytes: ImageBytes) -> None:
    assert decode_image(image_bytes(0), channels=1).shape == (48, 64, 1)
    assert decode_image(image_bytes(0, "PNG"), channels=4).shape == (48, 64, 4)
    array = np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert (decode_image(buffer.getvalue(), channels=7) == array).all()
    for data, channels in ((buffer.getvalue(), 3), (image_bytes(0), 7), (buffer.getvalue()[:90], 7)):
        with pytest.raises(BadImage):
            decode_image(data, channels=channels)


def test_large_jpegs_are_decoded_smaller_but_not_too_small(image_bytes: ImageBytes) -> None:
    data = image_bytes(6, height=480, width=640)
    assert decode_image(data, enough_pixels=640 * 480 / 3).shape == (480, 640, 3)
    assert decode_image(data, enough_pixels=640 * 480 / 4).shape == (240, 320, 3)
    assert decode_image(data, enough_pixels=640 * 480 / 16).shape == (120, 160, 3)
    assert decode_image(data, enough_pixels=1).shape == (60, 80, 3)


@pytest.mark.parametrize("cut", [0, 1, 2, 20, 200])
def test_damaged_images_are_bad_images(image_bytes: ImageBytes, cut: int) -> None:
    for kind in ("JPEG", "PNG"):
        with pytest.raises(BadImage):
            decode_image(image_bytes(7, kind)[:cut])
    with pytest.raises(BadImage, match="undecodable"):
        decode_image(b"<html>not found</html>")


def test_a_jpeg_cut_in_its_pixels_is_bad(image_bytes: ImageBytes) -> None:
    data = image_bytes(8, height=200, width=200)
    with pytest.raises(BadImage, match="undecodable"):
        decode_image(data[: len(data) // 2])


def test_too_many_pixels_are_refused_before_decoding(image_bytes: ImageBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 48 * 64 - 1)
    for kind in ("JPEG", "PNG"):
        with pytest.raises(BadImage, match="too_large: 64x48"):
            decode_image(image_bytes(9, kind))


def test_a_canvas_is_used_again_and_grows(image_bytes: ImageBytes) -> None:
    canvas = Canvas()
    sizes = [(48, 64), (20, 30), (201, 99), (48, 64)]
    for seed, (height, width) in enumerate(sizes):
        data = image_bytes(seed, height=height, width=width)
        for enough in (math.inf, 500.0):
            found = decode_image(data, enough_pixels=enough, canvas=canvas)
            assert (found == decode_image(data, enough_pixels=enough)).all()
    assert np.shares_memory(decode_image(image_bytes(9), canvas=canvas), canvas.room(0))
