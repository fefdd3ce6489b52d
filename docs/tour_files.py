"""Write one small example of everything that `curate` reads, for docs/curation-tour.md.

    python docs/tour_files.py path/to/photographs tour

Takes up to 60 photographs from the folder, in order of name. Everything in `tour` is made anew.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

PHOTOS, PORT = 60, 8765
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The picture as JPEG bytes."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_tar(file: Path, members: dict[str, bytes]) -> None:
    """A tar of files."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def photos_and_copies(out: Path, pictures: list[Path]) -> None:
    """photos/, edited and exact copies under awkward names, blurred and empty pictures for the filters."""
    for folder in ("photos", "copies", "dull", "birds", "bench"):
        (out / folder).mkdir(parents=True)
    for path in pictures:
        shutil.copy(path, out / "photos" / path.name)
    opened = [Image.open(path).convert("RGB") for path in pictures[:12]]
    for number, image in enumerate(opened[:8]):
        half = image.resize((image.width // 2, image.height // 2))
        (out / "copies" / f"half size, number {number}.jpg").write_bytes(jpeg(half, 60))
        (out / "copies" / f"mirrored-{number}.webp").write_bytes(
            jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 70)
        )
    shutil.copy(pictures[0], out / "copies" / "the same 'bytes' \N{SLIGHTLY SMILING FACE}\nagain.jpg")
    (out / "dull" / "blurred.jpg").write_bytes(jpeg(opened[0].filter(ImageFilter.GaussianBlur(25))))
    (out / "dull" / "white.png").write_bytes(jpeg(Image.new("RGB", (300, 200), "white")))
    for path in pictures[:6]:
        shutil.copy(path, out / "birds" / path.name)
    for number, image in enumerate(opened[9:12]):
        (out / "bench" / f"{number}.jpg").write_bytes(jpeg(image, 50))


def broken(folder: Path, picture: bytes) -> None:
    """What must end in quarantine, each for a reason of its own."""
    folder.mkdir(parents=True)
    (folder / "cut short.jpg").write_bytes(picture[: len(picture) // 2])
    (folder / "page.jpg").write_bytes(b"<html><body>404</body></html>")
    (folder / "empty.png").write_bytes(b"")
    (folder / "tiny.png").write_bytes(jpeg(Image.new("RGB", (3, 3))))
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    (folder / "bomb.png").write_bytes(buffer.getvalue())


def containers(out: Path, pictures: list[bytes]) -> None:
    """The same kinds of pictures in every layout that other tools write. Every layout has pictures of its own."""
    some = iter(
        jpeg(Image.open(io.BytesIO(data)).rotate(angle, expand=True)) for angle in (90, 180) for data in pictures
    )
    shard = {}
    for number in range(4):
        shard |= {f"{number:05d}.jpg": next(some), f"{number:05d}.cls": b"3", f"{number:05d}.txt": b"a caption"}
    write_tar(out / "shards" / "000000.tar", shard)
    (out / "listed").mkdir()
    for number in range(3):
        (out / "listed" / f"{number}.jpg").write_bytes(next(some))
    (out / "list.txt").write_text("# a path per line\nlisted/0.jpg\nlisted/2.jpg\n", encoding="utf-8")
    keys = [f"{number:09d}" for number in range(4)]
    write_tar(out / "img2dataset" / "00000.tar", {f"{key}.jpg": next(some) for key in keys})
    table = {"key": keys, "url": [f"https://example.org/{key}.jpg" for key in keys], "status": ["success"] * 4}
    pq.write_table(pa.table(table), out / "img2dataset" / "00000.parquet")
    datacomp(out / "datacomp", [next(some) for _ in range(5)])
    rows = [{"bytes": next(some), "path": f"{number}.jpg"} for number in range(4)]
    pq.write_table(pa.table({"image": rows, "label": list(range(4))}), out / "table.parquet")
    (out / "web").mkdir()
    for number in range(3):
        (out / "web" / f"{number}.jpg").write_bytes(next(some))
    addresses = [f"http://127.0.0.1:{PORT}/{number}.jpg" for number in range(4)]  # the last one is not there
    pq.write_table(pa.table({"url": addresses}), out / "urls.parquet")
    (out / "hf" / "data").mkdir(parents=True)
    pq.write_table(
        pa.table({"image": [{"bytes": next(some), "path": None} for _ in range(3)]}),
        out / "hf" / "data" / "train-00000-of-00001.parquet",
    )


def datacomp(folder: Path, pictures: list[bytes]) -> None:
    """A shard in DataComp's layout, and a subset file that names two of its five images."""
    uids = [f"{number + 1:032x}" for number in range(len(pictures))]
    members: dict[str, bytes] = {}
    for number, (uid, data) in enumerate(zip(uids, pictures, strict=True)):
        members |= {f"{number:012d}.jpg": data, f"{number:012d}.json": json.dumps({"uid": uid}).encode()}
    write_tar(folder / "shards" / "00000000.tar", members)
    halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids[:2]]
    np.save(folder / "subset.npy", np.array(halves, np.dtype("u8,u8")))


def vectors(out: Path) -> None:
    """clip-retrieval's layout over photos/: vectors that another tool might have made."""
    names = sorted(path.name for path in (out / "photos").iterdir())
    (out / "clip" / "img_emb").mkdir(parents=True)
    (out / "clip" / "metadata").mkdir()
    np.save(out / "clip" / "img_emb" / "img_emb_0.npy", np.random.default_rng(0).standard_normal((len(names), 32)))
    pq.write_table(pa.table({"image_path": names}), out / "clip" / "metadata" / "metadata_0.parquet")


def models(out: Path) -> None:
    """A Hugging Face image classifier, a linear head and a TorchScript embedder, with random weights: no download."""
    import torch
    from safetensors.torch import save_file
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = ViTConfig(**size, image_size=64, patch_size=16, id2label={0: "safe", 1: "nsfw"})
    ViTForImageClassification(config).save_pretrained(out / "classifier")
    half = [0.5, 0.5, 0.5]
    prepare = {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}, "do_resize": True}
    prepare |= {"do_normalize": True, "image_mean": half, "image_std": half, "rescale_factor": 1 / 255}
    (out / "classifier" / "preprocessor_config.json").write_text(json.dumps(prepare), encoding="utf-8")
    save_file({"weight": torch.randn(1, 32), "bias": torch.zeros(1)}, out / "head.safetensors")
    pool = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 32, 32), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    torch.jit.trace(pool, torch.zeros(1, 3, 320, 320)).save(out / "embedder.torchscript.pt")


def main() -> None:
    """Write everything."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    pictures = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)[:PHOTOS]
    if len(pictures) < 20:
        sys.exit(f"{source} has {len(pictures)} photographs (jpg, png, webp): 20 or more are needed")
    shutil.rmtree(out, ignore_errors=True)
    photos_and_copies(out, pictures)
    broken(out / "broken", pictures[0].read_bytes())
    containers(out, [path.read_bytes() for path in pictures[12:30]])
    vectors(out)
    models(out)
    files = sum(1 for path in out.rglob("*") if path.is_file())
    sys.stdout.write(f"{out}: {files} files from {len(pictures)} photographs\n")


if __name__ == "__main__":
    main()
