"""Settings of the multi-crop augmentation, with DINOv2's values as defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.config import StrictModel

BlurConvention = Literal["released", "nominal"]
# Probability of blur for global crop 1, global crop 2 and every local crop.
BLUR_PROBABILITY: dict[BlurConvention, tuple[float, float, float]] = {
    "released": (0.0, 0.9, 0.5),
    "nominal": (1.0, 0.1, 0.5),
}
Range = tuple[float, float]


class AugmentationSettings(StrictModel):
    """How the crops of an image are made. Source: DINOv2 section 5 and appendix B.2; DINO section 3."""

    global_px: int = Field(default=224, ge=4, description="side of a global crop, pixels")
    local_px: int = Field(default=98, ge=4, description="side of a local crop, pixels")
    local_crops: int = Field(default=8, ge=0, description="local crops per image; 0 trains on global crops alone")
    global_area_fraction: Range = Field(default=(0.32, 1.0), description="area of a global crop, fraction of the image")
    local_area_fraction: Range = Field(default=(0.05, 0.32), description="area of a local crop, fraction of the image")
    aspect_ratio: Range = Field(default=(3 / 4, 4 / 3), description="width / height of a crop before resizing")
    flip_probability: float = Field(default=0.5, ge=0, le=1, description="horizontal flip of a crop")
    jitter_probability: float = Field(default=0.8, ge=0, le=1, description="colour jitter of a crop (3 channels only)")
    brightness: float = Field(default=0.4, ge=0, le=1, description="factor drawn from 1 - b to 1 + b")
    contrast: float = Field(default=0.4, ge=0, le=1, description="factor drawn from 1 - c to 1 + c")
    saturation: float = Field(default=0.2, ge=0, le=1, description="factor drawn from 1 - s to 1 + s")
    hue: float = Field(default=0.1, ge=0, le=0.5, description="drawn from -h to +h, turns of the colour circle")
    grayscale_probability: float = Field(default=0.2, ge=0, le=1, description="a crop loses its colour")
    blur: BlurConvention = Field(
        default="released",
        description="blur probabilities of (global 1, global 2, local): released 0, 0.9, 0.5 as the published weights "
        "were trained; nominal 1.0, 0.1, 0.5 as the paper says",
    )
    blur_kernel_px: int = Field(default=9, ge=1, le=127, description="width of the Gaussian kernel, pixels, odd")
    blur_sigma_px: Range = Field(default=(0.1, 2.0), description="standard deviation of the blur, pixels")
    solarize_probability: float = Field(default=0.2, ge=0, le=1, description="global crop 2 only (3 channels only)")
    solarize_threshold: int = Field(default=128, ge=0, le=256, description="grey levels from here on are inverted")
    channels: int = Field(default=3, ge=1, description="channels of the images; colour operations need 3")
    mean: tuple[float, ...] = Field(default=(0.485, 0.456, 0.406), description="subtracted per channel from 0..1")
    std: tuple[float, ...] = Field(default=(0.229, 0.224, 0.225), description="divided by, per channel")

    @model_validator(mode="after")
    def _ranges_make_sense(self) -> AugmentationSettings:
        for name in ("global_area_fraction", "local_area_fraction", "aspect_ratio", "blur_sigma_px"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be two positive numbers, the smaller first")
        if self.global_area_fraction[1] > 1 or self.local_area_fraction[1] > 1:
            raise ValueError("a crop's area fraction must not exceed 1")
        if self.blur_kernel_px % 2 == 0:
            raise ValueError("blur_kernel_px must be odd")
        if len(self.mean) not in (1, self.channels) or len(self.std) not in (1, self.channels):
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values where channels is {self.channels}: give "
                "each one value for all channels or one per channel, such as mean [0.5] and std [0.25]"
            )
        return self
