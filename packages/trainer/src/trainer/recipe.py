"""From what is asked (settings) to what the method and the schedules take (plain values)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from contracts.config import plain_values, validate_config
from trainer.config.model import HeadSection
from trainer.config.objective import GramSection
from trainer.config.optimisation import OptimSection, SchedulesSection
from trainer.config.pretrain import PretrainConfig
from trainer.config.run import RunSection
from trainer.layers.rope import RopeSettings
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.lr_scaling import scaled_lr
from trainer.optim.schedules import ScheduleSettings, compressed
from trainer.step_flops import StepSizes


def backbone_settings(config: PretrainConfig) -> VitSettings:
    """The student's backbone."""
    m = config.model
    fields = {"ffn": m.ffn} if m.ffn else {}
    return vit_settings(
        m.arch,
        image_size=config.crops.global_px,
        in_channels=config.crops.channels,
        registers=m.registers,
        layer_scale=m.layer_scale,
        position=m.position,
        resampling=m.resampling,
        rope=RopeSettings(m.rope.base, m.rope.shift, m.rope.jitter, m.rope.rescale),
        drop_path_rate=m.drop_path_rate,
        drop_path_uniform=m.drop_path_uniform,
        attention=m.attention,
        recompute=config.devices.recompute_blocks,
        **fields,
    )


def head_settings(section: HeadSection) -> HeadSettings:
    """One prototype head."""
    return HeadSettings(
        prototypes=section.prototypes,
        hidden_dim=section.hidden_dim,
        bottleneck_dim=section.bottleneck_dim,
        layers=section.layers,
        weight_norm=section.weight_norm,
        mlp_bias=section.mlp_bias,
    )


def method_settings(config: PretrainConfig) -> DinoV2Settings:
    """The DINOv2 method."""
    losses, optim = config.losses, config.optim
    return DinoV2Settings(
        backbone=backbone_settings(config),
        dino_head=head_settings(config.heads.dino),
        ibot_head=None if config.heads.shared else head_settings(config.heads.ibot),
        centering=losses.centering,
        student_temp=losses.student_temp,
        dino_weight=losses.dino_weight,
        ibot_weight=losses.ibot_weight,
        koleo_weight=losses.koleo_weight,
        koleo_min_distance=losses.koleo_min_distance,
        koleo_distributed=losses.koleo_distributed,
        gram=_gram_settings(losses.gram),
        layerwise_decay=optim.layerwise_decay,
        patch_embed_multiplier=optim.patch_embed_lr_multiplier,
    )


def step_sizes(config: PretrainConfig, images: int) -> StepSizes:
    """What a forward pass of so many images looks at; of masked patches as many as are drawn on average."""
    crops, masking = config.crops, config.masking
    patches = (crops.global_px // method_settings(config).backbone.patch_size) ** 2
    masked = 2 * images * masking.probability * patches * sum(masking.ratio) / 2
    return StepSizes(images, crops.global_px, crops.local_crops, crops.local_px, masked)


def high_resolution_config(config: PretrainConfig) -> PretrainConfig | None:
    """The settings of the last phase on larger crops, or None: as the run's own but for what the section says.

    Schedules are run through again in the phase's steps; images are drawn in another order.
    """
    phase = config.high_resolution
    if phase is None:
        return None
    values = plain_values(config)
    values["high_resolution"] = None
    values["model"] |= {"init_from": None, "freeze_backbone_steps": 0}
    values["crops"] |= {"global_px": phase.global_px, "local_px": phase.local_px}
    values["optim"]["lr"] = phase.lr
    if config.losses.gram is not None:
        values["losses"]["gram"]["start_step"] = 0
    values["schedules"]["for_steps"] = config.schedules.for_steps or config.run.steps
    values["run"] |= {
        "steps": phase.steps,
        "batch_size": phase.batch_size or config.run.batch_size,
        "micro_batch_size": None if phase.batch_size else config.run.micro_batch_size,
        "seed": config.run.seed + 1,
    }
    return validate_config(PretrainConfig, values, where="high_resolution")


def _gram_settings(section: GramSection | None) -> GramSettings | None:
    if section is None:
        return None
    return GramSettings(
        weight=section.weight,
        start_step=section.start_step,
        refresh_every=section.refresh_every_steps,
        max_refreshes=section.max_refreshes,
        enlarge=section.enlarge,
    )


class RunRecipe(Protocol):
    """Sections that schedules are made of; every kind of run has them."""

    @property
    def schedules(self) -> SchedulesSection:
        """Lengths and end points."""

    @property
    def optim(self) -> OptimSection:
        """Peak learning rate and its scaling."""

    @property
    def run(self) -> RunSection:
        """Steps and batch."""


@dataclass(frozen=True)
class FittedSchedules:
    """Schedules that fit the run, and a sentence for each change that this took."""

    settings: ScheduleSettings
    notes: tuple[str, ...]


def schedule_settings(config: RunRecipe) -> FittedSchedules:
    """The schedules of a run.

    Lengths written for another run length are scaled in proportion; a warm-up that still does not fit is cut to half
    the run, and a last layer that would never train is frozen for a tenth of it, so that a short trial runs; all of
    it is said.
    """
    s, steps = config.schedules, config.run.steps
    asked = ScheduleSettings(
        steps=s.for_steps or steps,
        lr=scaled_lr(config.optim.lr, config.run.batch_size, config.optim.lr_scaling),
        min_lr=s.final_lr,
        warmup_steps=s.warmup_steps,
        weight_decay=s.weight_decay,
        weight_decay_end=s.final_weight_decay,
        teacher_momentum=s.teacher_momentum,
        teacher_momentum_end=s.final_teacher_momentum,
        teacher_temp_start=s.teacher_temp,
        teacher_temp=s.final_teacher_temp,
        teacher_temp_warmup_steps=s.teacher_temp_warmup_steps,
        freeze_last_layer_steps=s.freeze_last_layer_steps,
    )
    notes = []
    fitted = asked
    if steps != asked.steps:
        fitted = compressed(asked, steps)
        notes.append(
            f"schedules written for {asked.steps} steps are scaled to {steps}: warm-up {fitted.warmup_steps} steps, "
            f"temperature {fitted.teacher_temp_warmup_steps}, frozen last layer {fitted.freeze_last_layer_steps}"
        )
    if fitted.warmup_steps > steps:
        fitted = replace(fitted, warmup_steps=steps // 2)
        notes.append(
            f"schedules.warmup_steps {asked.warmup_steps} is longer than the run of {steps} steps and is cut to "
            f"{fitted.warmup_steps}"
        )
    if fitted.freeze_last_layer_steps >= steps:
        fitted = replace(fitted, freeze_last_layer_steps=steps // 10)
        notes.append(
            f"schedules.freeze_last_layer_steps {asked.freeze_last_layer_steps} would keep the last layer frozen for "
            f"all {steps} steps and is cut to {fitted.freeze_last_layer_steps}"
        )
    return FittedSchedules(fitted, tuple(notes))
