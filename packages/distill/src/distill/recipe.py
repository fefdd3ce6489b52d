"""From what is asked (settings) to what the methods take (plain values)."""

from __future__ import annotations

from typing import cast

from contracts.errors import ConfigError
from distill.config import DistillConfig, FeatureObjective, PrototypeObjective
from distill.matching_views import side_for
from distill.methods.feature_distillation import FeatureDistillation, FeatureSettings
from distill.methods.prototype_distillation import PrototypeDistillation, PrototypeSettings
from distill.students.rank_groups import RankGroups
from distill.teachers.teacher import Teacher
from trainer.export.model_folder import LoadedModel
from trainer.methods.method import Method
from trainer.models.heads import PrototypeHead
from trainer.models.sizes import parse_arch, vit_settings
from trainer.models.vision_transformer import VitSettings
from trainer.recipe import head_settings


def student_backbones(config: DistillConfig) -> dict[str, VitSettings]:
    """The students by name. Stochastic depth is off: the student learns from every sample in every block."""
    s, reference = config.students, parse_arch(config.students.archs[0]).patch_size
    fields = {"ffn": s.ffn} if s.ffn else {}
    return {
        arch: vit_settings(
            arch,
            image_size=side_for(config.crops.global_px, reference, parse_arch(arch).patch_size),
            in_channels=config.crops.channels,
            registers=s.registers,
            layer_scale=s.layer_scale,
            resampling=s.resampling,
            attention=s.attention,
            **fields,
        )
        for arch in s.archs
    }


def build_method(config: DistillConfig, teacher: Teacher, groups: RankGroups | None = None) -> Method:
    """The method that the objective asks for, of a teacher that fits it (check_teacher).

    A teacher without heads must get them (head_stage.py) before the method is asked for losses.
    """
    backbones, optim, asked = student_backbones(config), config.optim, config.objective
    if isinstance(asked, FeatureObjective):
        features = FeatureSettings(
            backbones=backbones,
            cls_loss=asked.cls_loss,
            patch_loss=asked.patch_loss,
            cls_weight=asked.cls_weight,
            patch_weight=asked.patch_weight,
            relations=asked.relations,
            layerwise_decay=optim.layerwise_decay,
            patch_embed_multiplier=optim.patch_embed_lr_multiplier,
        )
        return FeatureDistillation(features, teacher, groups)
    prototypes = PrototypeSettings(
        backbones=backbones,
        dino_head=head_settings(asked.heads.dino),
        ibot_head=None if asked.heads.shared else head_settings(asked.heads.ibot),
        ibot_tokens=asked.ibot_tokens,
        centering=asked.centering,
        student_temp=asked.student_temp,
        dino_weight=asked.dino_weight,
        ibot_weight=asked.ibot_weight,
        koleo_weight=asked.koleo_weight,
        layerwise_decay=optim.layerwise_decay,
        patch_embed_multiplier=optim.patch_embed_lr_multiplier,
    )
    return PrototypeDistillation(prototypes, teacher, groups)


def check_teacher(config: DistillConfig, teacher: LoadedModel) -> None:
    """Errors: ConfigError when the objective asks for heads that the teacher has not, or has otherwise."""
    asked, heads = config.objective, teacher.heads
    if not isinstance(asked, PrototypeObjective):
        return
    if "dino_head" in heads:
        dino = cast(PrototypeHead, heads["dino_head"])
        _check_heads(asked, dino, cast(PrototypeHead, heads["ibot_head"]) if "ibot_head" in heads else dino)
    elif not config.teacher.head_steps:
        raise ConfigError(
            f"objective.kind is prototypes, but the teacher {teacher.folder} comes without heads: take "
            "teacher.head_steps above 0 to learn new ones first, or objective.kind=features"
        )


def _check_heads(asked: PrototypeObjective, dino: PrototypeHead, ibot: PrototypeHead) -> None:
    """The students must have as many prototypes as the teacher."""
    if asked.heads.shared and ibot is not dino:
        raise ConfigError("objective.heads.shared is true, but the teacher has a head of its own for patches")
    wanted = {"dino": dino.settings.prototypes, "ibot": ibot.settings.prototypes}
    found = {"dino": asked.heads.dino.prototypes}
    found["ibot"] = found["dino"] if asked.heads.shared else asked.heads.ibot.prototypes
    for name, count in found.items():
        if count != wanted[name]:
            raise ConfigError(
                f"objective.heads.{name}.prototypes is {count}, but the teacher's head has {wanted[name]}: the numbers "
                "must be equal"
            )
