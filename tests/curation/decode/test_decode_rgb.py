"""Every kind of picture decodes to the same RGB everywhere, and what is damaged is named, never filled with grey."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from curation.decode import BadImage, DecodeLimits, decode_rgb, open_image

RNG = np.random.default_rng(0)
PICTURE = np.kron(RNG.integers(0, 255, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))  # 48 x 64


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def close(a: np.ndarray, b: np.ndarray, levels: float) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(int) - b.astype(int)).mean()) <= levels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_agrees_with_pillow(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    data = encode(Image.fromarray(PICTURE), form, exif=exif, **options)
    from PIL import ImageOps

    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert close(decode_rgb(data), wanted, 1.0)
    opened = open_image(data, DecodeLimits())
    assert (opened.height_px, opened.width_px) == wanted.shape[:2]


def test_modes_become_rgb() -> None:
    rgb = Image.fromarray(PICTURE)
    assert close(decode_rgb(encode(rgb, "PNG")), PICTURE, 0)
    assert close(decode_rgb(encode(rgb, "BMP")), PICTURE, 0)
    assert close(decode_rgb(encode(rgb, "WEBP", lossless=True)), PICTURE, 0)
    assert close(decode_rgb(encode(rgb.convert("CMYK"), "JPEG", quality=98)), PICTURE, 12)
    grey = np.asarray(rgb.convert("L"))
    assert close(decode_rgb(encode(rgb.convert("L"), "JPEG", quality=98)), np.repeat(grey[..., None], 3, 2), 2)
    assert close(decode_rgb(encode(rgb.convert("P", palette=Image.Palette.ADAPTIVE), "PNG")), PICTURE, 12)


def test_alpha_lies_over_white() -> None:
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:24] = 255
    layered = Image.fromarray(np.concatenate([PICTURE, alpha], axis=2), "RGBA")
    pixels = decode_rgb(encode(layered, "PNG"))
    assert close(pixels[:24], PICTURE[:24], 0)
    assert (pixels[24:] == 255).all()


def test_sixteen_bits_keep_their_brightness() -> None:
    wide = (np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 4).astype(np.uint16)
    pixels = decode_rgb(encode(Image.fromarray(wide), "PNG"))
    assert close(pixels[..., 0], (wide / 257).round().astype(np.uint8), 0.6)


def test_a_format_that_cannot_seek_is_read() -> None:
    wide = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(48, 0)
    assert decode_rgb(encode(Image.fromarray(wide), "SPIDER"))[0, [0, 63], 0].tolist() == [0, 255]


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (255, 0, 128)]
    for form in ("GIF", "WEBP"):
        data = encode(frames[0], form, save_all=True, append_images=frames[1:])
        assert decode_rgb(data).min() >= 250


def test_a_large_jpeg_is_decoded_smaller_but_never_below_what_is_wanted() -> None:
    big = Image.fromarray(np.kron(PICTURE, np.ones((10, 10, 1), np.uint8)))  # 480 x 640
    data = encode(big, "JPEG", quality=95)
    small = decode_rgb(data, max_side_px=150)
    assert max(small.shape) >= 150
    assert max(small.shape) < 640
    assert decode_rgb(data, max_side_px=500).shape == (480, 640, 3)


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(5000))
    chunks = ((b"IHDR", body), (b"IDAT", data), (b"IEND", b""))
    packed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


JPEG = encode(Image.fromarray(PICTURE), "JPEG", quality=90)
PNG = encode(Image.fromarray(RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8)), "PNG")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><p>not found</p>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (bytes(RNG.integers(0, 255, 500, dtype=np.uint8)), "not_an_image"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-40], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:2000] + bytes(800) + PNG[2800:], "corrupt"),
        (png_header(60_000, 60_000), "too_large"),
        (encode(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
        (encode(Image.new("RGB", (900, 10)), "PNG"), "too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_damaged_is_named(data: bytes, code: str) -> None:
    with pytest.raises(BadImage) as caught:
        decode_rgb(data)
    assert caught.value.code == code, str(caught.value)


def test_every_cut_of_a_jpeg_is_found() -> None:
    for keep in range(0, len(JPEG) - 2, max(1, len(JPEG) // 60)):
        with pytest.raises(BadImage):
            decode_rgb(JPEG[:keep])


def test_limits_are_settings() -> None:
    with pytest.raises(BadImage, match="limit 100 px a side"):
        decode_rgb(PNG, DecodeLimits(min_side_px=100))
    with pytest.raises(BadImage, match="too_large"):
        decode_rgb(PNG, DecodeLimits(max_pixels=1000))
