"""Everything that `trainer pretrain` can be asked for."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.config import StrictModel
from trainer.config.devices import DevicesSection
from trainer.config.high_resolution import HighResolutionSection
from trainer.config.model import HeadsSection, ModelSection
from trainer.config.objective import LossesSection
from trainer.config.optimisation import OptimSection, SchedulesSection
from trainer.config.pictures import PicturesSection
from trainer.config.run import DataSection, ProbeSection, RunSection
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.masking.settings import MaskingSettings
from trainer.models.sizes import parse_arch


class PretrainConfig(StrictModel):
    """Sections of a pretraining run; the defaults are the published ViT-L/16 recipe on a ViT-S/14."""

    model: ModelSection = ModelSection()
    crops: AugmentationSettings = AugmentationSettings()
    masking: MaskingSettings = MaskingSettings()
    heads: HeadsSection = HeadsSection()
    losses: LossesSection = LossesSection()
    optim: OptimSection = OptimSection()
    schedules: SchedulesSection = SchedulesSection()
    data: DataSection = DataSection()
    run: RunSection = RunSection()
    devices: DevicesSection = DevicesSection()
    probe: ProbeSection = ProbeSection()
    pictures: PicturesSection = PicturesSection()
    high_resolution: HighResolutionSection | None = Field(None, description="a last phase on larger crops; none: off")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> PretrainConfig:
        patch = parse_arch(self.model.arch).patch_size
        sides = {"crops.global_px": self.crops.global_px}
        if self.crops.local_crops:
            sides["crops.local_px"] = self.crops.local_px
        if self.high_resolution is not None:
            sides["high_resolution.global_px"] = self.high_resolution.global_px
            sides["high_resolution.local_px"] = self.high_resolution.local_px
        if self.probe.image_px is not None:
            sides["probe.image_px"] = self.probe.image_px
        if self.pictures.image_px is not None:
            sides["pictures.image_px"] = self.pictures.image_px
        for name, side in sides.items():
            if side % patch:
                lower = side - side % patch
                raise ValueError(
                    f"{name} is {side} px, which is not a multiple of the patch side {patch} px of "
                    f"{self.model.arch}: take {lower or patch} or {lower + patch}"
                )
        micro = self.run.micro_batch_size or self.run.batch_size
        if self.run.batch_size % micro:
            raise ValueError(f"run.batch_size {self.run.batch_size} is not a multiple of run.micro_batch_size {micro}")
        if micro < 2 and self.losses.koleo_weight:
            raise ValueError("the batch of a forward pass is 1, but the KoLeo loss compares images: take 2 or more")
        return self
