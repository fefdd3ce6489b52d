"""Image sets that are known by name: the folder names they usually have, and where the hub keeps them.

Names are those of the sets from which LVD-142M was retrieved (DINOv2, appendix A, table 15) and a few small ones.
Only training images are ever asked of the hub. Adding a set is one line here.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import nearest_name


@dataclass(frozen=True)
class KnownSet:
    """`folders`: names a local copy may have; `hub`: id of a data set on the Hugging Face hub, `files`: what of it."""

    name: str
    folders: tuple[str, ...]
    hub: str | None = None
    files: tuple[str, ...] = ("*train*.parquet",)


KNOWN_SETS: tuple[KnownSet, ...] = (
    KnownSet(
        "imagenet",
        (
            "imagenet",
            "imagenet-1k",
            "imagenet1k",
            "ILSVRC2012",
            "ILSVRC2012_img_train",
            "imagenet-train",
            "imagenet-sample",
        ),
        "ILSVRC/imagenet-1k",
    ),
    KnownSet(
        "imagenet-22k",
        ("imagenet-22k", "imagenet22k", "imagenet-21k", "imagenet21k", "fall11_whole", "winter21_whole"),
        "timm/imagenet-22k-wds",
        ("*train*.tar",),
    ),
    KnownSet("cifar10", ("cifar10", "cifar-10", "cifar10-train", "cifar-10-train"), "uoft-cs/cifar10"),
    KnownSet("cifar100", ("cifar100", "cifar-100", "cifar100-train", "cifar-100-train"), "uoft-cs/cifar100"),
    KnownSet("food101", ("food101", "food-101"), "ethz/food101"),
    KnownSet("pets", ("pets", "oxford-iiit-pet", "oxford-pets"), "timm/oxford-iiit-pet"),
    KnownSet("google-landmarks-v2", ("google-landmarks-v2", "gldv2", "gldv2-clean", "google-landmarks")),
    KnownSet("mapillary-sls", ("mapillary-sls", "mapillary_sls", "msls")),
    KnownSet("amstertime", ("amstertime", "AmsterTime")),
    KnownSet("caltech101", ("caltech101", "caltech-101", "101_ObjectCategories")),
    KnownSet("cub200", ("cub200", "cub-200", "cub-200-2011", "CUB_200_2011")),
    KnownSet("dtd", ("dtd", "DTD")),
    KnownSet("fgvc-aircraft", ("fgvc-aircraft", "aircraft", "fgvc-aircraft-2013b")),
    KnownSet("flowers102", ("flowers102", "flowers-102", "102flowers")),
    KnownSet("stanford-cars", ("stanford-cars", "stanford_cars", "cars_train", "cars")),
    KnownSet("sun397", ("sun397", "SUN397")),
    KnownSet("voc2007", ("voc2007", "VOC2007", "VOCtrainval_06-Nov-2007")),
    KnownSet("voc2012", ("voc2012", "VOC2012", "VOCtrainval_11-May-2012")),
    KnownSet("ade20k", ("ade20k", "ADE20K", "ADEChallengeData2016")),
    KnownSet("cityscapes", ("cityscapes", "leftImg8bit")),
    KnownSet("kitti", ("kitti", "KITTI")),
    KnownSet("nyuv2", ("nyuv2", "nyu-depth-v2", "nyu_depth_v2")),
    KnownSet("sun-rgbd", ("sun-rgbd", "SUNRGBD")),
    KnownSet("met", ("met", "met-dataset")),
    KnownSet("roxford5k", ("roxford5k", "revisited-oxford", "oxbuild_images")),
    KnownSet("rparis6k", ("rparis6k", "revisited-paris")),
)


def known_set(name: str) -> KnownSet | None:
    """The set of this name, or with a folder of this name, whatever the case; None when nothing is known of it."""
    wanted = name.casefold()
    for entry in KNOWN_SETS:
        if wanted == entry.name or wanted in (folder.casefold() for folder in entry.folders):
            return entry
    return None


def nearest_known(name: str) -> str:
    """A phrase that suggests a known name."""
    return nearest_name(name.casefold(), [entry.name for entry in KNOWN_SETS])
