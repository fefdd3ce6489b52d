"""Everything that `distill run` can be asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.config import StrictModel
from distill.losses.feature_losses import feature_loss
from distill.losses.relation_losses import relation_loss
from trainer.config.model import HeadsSection
from trainer.config.optimisation import OptimSection, SchedulesSection
from trainer.config.pictures import PicturesSection
from trainer.config.run import DataSection, ProbeSection, RunSection
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.masking.settings import MaskingSettings
from trainer.models.sizes import parse_arch


class TeacherCacheSection(StrictModel):
    """What the teacher said is kept on disk and not computed again: for small sets, several runs, several epochs."""

    gib: float = Field(0.0, ge=0, description="largest size of the cache, GiB; 0 keeps nothing")
    crop_sets: int = Field(
        8,
        ge=1,
        description="with a cache, sets of crops per image that take turns: an epoch's crops come back after so many",
    )
    folder: str | None = Field(None, description="where the cache lies; none takes teacher_cache in the run folder")


class TeacherSection(StrictModel):
    """The frozen teacher."""

    model: str = Field(description="run, model folder, Hugging Face folder or hub id of the teacher")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the teacher's backbone; auto is bf16 on GPUs that have it and fp32 elsewhere"
    )
    grid: int | None = Field(
        None,
        ge=1,
        description="patches along a side of the teacher's view; none takes the students' grid, another is resampled",
    )
    head_steps: int = Field(
        5000, ge=0, description="steps that learn new heads on a teacher without, before objective.kind prototypes"
    )
    cache: TeacherCacheSection = TeacherCacheSection()
    compile: bool = Field(False, description="run the teacher through torch.compile: pays off on long runs on a GPU")


class StudentsSection(StrictModel):
    """The students; all of them share these settings."""

    archs: tuple[str, ...] = Field(("vits14",), min_length=1, description="architectures; one student for each")
    ranks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="with several ranks, how many train each student; empty: every rank trains all students"
    )
    ffn: Literal["mlp", "swiglu"] | None = Field(None, description="feed-forward layer; none takes the size's own")
    registers: int = Field(0, ge=0, description="register tokens")
    layer_scale: float = Field(1e-5, gt=0, description="initial gain of every residual branch")
    resampling: str = Field("official", description="how the position table is resized to another grid")
    attention: str = Field("sdpa", description="attention backend of the training step")


class PrototypeObjective(StrictModel):
    """Exact mode: the teacher's assignments to its own prototypes. Source: DINOv2 section 5."""

    kind: Literal["prototypes"] = "prototypes"
    heads: HeadsSection = Field(HeadsSection(), description="the students' heads; prototypes must be the teacher's")
    ibot_tokens: Literal["all", "subset"] = Field(
        "all", description="patches of the patch loss: all of both global crops, or masked positions as in DINOv3"
    )
    masking: MaskingSettings = Field(MaskingSettings(), description="which positions `subset` takes")
    centering: Literal["sinkhorn_knopp", "centering"] = Field(
        "sinkhorn_knopp", description="how teacher logits become targets"
    )
    dino_weight: float = Field(1.0, ge=0, description="weight of the image loss")
    ibot_weight: float = Field(1.0, ge=0, description="weight of the patch loss")
    koleo_weight: float = Field(0.1, ge=0, description="weight of the uniformity loss on class tokens")
    student_temp: float = Field(0.1, gt=0, description="divides the student's logits")


class FeatureObjective(StrictModel):
    """Headless mode: the teacher's class and patch tokens through a projection."""

    kind: Literal["features"] = "features"
    cls_loss: str = Field("cosine", description="loss of the class token, a name of losses/feature_losses.py")
    patch_loss: str = Field("cosine", description="loss of the patch tokens, a name of losses/feature_losses.py")
    cls_weight: float = Field(1.0, ge=0, description="weight of the class token's loss")
    patch_weight: float = Field(1.0, ge=0, description="weight of the patch tokens' loss")
    relations: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="weights of losses between relations, by their names in losses/relation_losses.py"
    )

    @model_validator(mode="after")
    def _known_losses_with_weight(self) -> FeatureObjective:
        if not (self.cls_weight or self.patch_weight or any(self.relations.values())):
            raise ValueError("all weights are 0: nothing would be learned")
        for name in (self.cls_loss, self.patch_loss):
            feature_loss(name)
        for name in self.relations:
            relation_loss(name)
        return self


Objective = Annotated[PrototypeObjective | FeatureObjective, Field(discriminator="kind")]


class DistillConfig(StrictModel):
    """Sections of a distillation run. Crops are measured for the first student; other models get them resized."""

    teacher: TeacherSection
    students: StudentsSection = StudentsSection()
    objective: Objective = Field(PrototypeObjective(), description="what is learned: kind prototypes or features")
    crops: AugmentationSettings = AugmentationSettings()
    optim: OptimSection = OptimSection()
    schedules: SchedulesSection = SchedulesSection()
    data: DataSection = DataSection()
    run: RunSection = RunSection()
    probe: ProbeSection = ProbeSection()
    pictures: PicturesSection = PicturesSection()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> DistillConfig:
        archs = self.students.archs
        if len(set(archs)) != len(archs):
            raise ValueError(f"students.archs names one student twice: {', '.join(archs)}")
        patch = parse_arch(archs[0]).patch_size
        sides = {"crops.global_px": self.crops.global_px}
        if self.crops.local_crops:
            sides["crops.local_px"] = self.crops.local_px
        if self.pictures.image_px is not None:
            sides["pictures.image_px"] = self.pictures.image_px
        for name, side in sides.items():
            if side % patch:
                lower = max(side - side % patch, patch)
                raise ValueError(
                    f"{name} is {side} px, which is not a multiple of the patch side {patch} px of the first student "
                    f"{archs[0]}: take {lower} or {lower + patch}"
                )
        return self
