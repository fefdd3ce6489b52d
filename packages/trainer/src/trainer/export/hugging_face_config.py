"""config.json and preprocessor_config.json of a model folder, and the way back to our settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from contracts.errors import BrokenArtifact
from trainer.layers.rope import RopeSettings
from trainer.models.vision_transformer import VitSettings

OWN_MODEL_TYPE = "winnow_vit"
"""model_type of a backbone that Hugging Face's Dinov2 cannot express; only Winnow reads it."""
DINOV2_TYPES = ("dinov2", "dinov2_with_registers")


def inexpressible(settings: VitSettings) -> list[str]:
    """What keeps a backbone from being a Hugging Face Dinov2 model: plain phrases, empty when nothing does."""
    reasons = []
    if settings.position != "learned":
        reasons.append("it has rotary positions")
    if settings.mlp_ratio != int(settings.mlp_ratio):
        reasons.append(f"its MLP ratio {settings.mlp_ratio} is not a whole number")
    return reasons


def hugging_face_config(settings: VitSettings) -> dict[str, Any]:
    """config.json: Dinov2Config, Dinov2WithRegistersConfig, or our own fields where neither fits."""
    s = settings
    if inexpressible(s):
        return {"model_type": OWN_MODEL_TYPE, **asdict(s)}
    config: dict[str, Any] = {
        "architectures": ["Dinov2WithRegistersModel" if s.registers else "Dinov2Model"],
        "model_type": "dinov2_with_registers" if s.registers else "dinov2",
        "hidden_size": s.embed_dim,
        "num_hidden_layers": s.depth,
        "num_attention_heads": s.num_heads,
        "mlp_ratio": int(s.mlp_ratio),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-6,
        "image_size": s.image_size,
        "patch_size": s.patch_size,
        "num_channels": s.in_channels,
        "qkv_bias": True,
        "layerscale_value": 1.0 if s.layer_scale is None else s.layer_scale,
        "drop_path_rate": 0.0,
        "use_swiglu_ffn": s.ffn == "swiglu",
        "apply_layernorm": True,
        "reshape_hidden_states": True,
        "torch_dtype": "float32",
    }
    return config | ({"num_register_tokens": s.registers} if s.registers else {"use_mask_token": True})


def settings_from_config(config: Mapping[str, Any], resampling: str | None = None) -> VitSettings:
    """Our settings of a Dinov2, Dinov2WithRegisters or own config.json, for inference (no stochastic depth).

    `resampling` None takes what transformers does off the native grid.
    Errors: BrokenArtifact when a field is missing or is none that our backbone can follow.
    """
    kind = config.get("model_type")
    try:
        if kind == OWN_MODEL_TYPE:
            fields = {name: value for name, value in config.items() if name != "model_type"}
            rope = RopeSettings(**fields.pop("rope"))
            return VitSettings(**(fields | {"rope": rope, "drop_path_rate": 0.0}))
        assert kind in DINOV2_TYPES, f"model_type {kind} is not for this function"
        registers = int(config.get("num_register_tokens", 4)) if kind == "dinov2_with_registers" else 0
        _check_variant(config)
        return VitSettings(
            embed_dim=int(config["hidden_size"]),
            depth=int(config["num_hidden_layers"]),
            num_heads=int(config["num_attention_heads"]),
            patch_size=int(config.get("patch_size", 16 if registers else 14)),
            image_size=_side(config.get("image_size", 224)),
            in_channels=int(config.get("num_channels", 3)),
            registers=registers,
            ffn="swiglu" if config.get("use_swiglu_ffn") else "mlp",
            mlp_ratio=float(config.get("mlp_ratio", 4)),
            layer_scale=float(config.get("layerscale_value", 1.0)),
            resampling=resampling or ("official_registers" if registers else "huggingface"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenArtifact(f"config.json of model_type {kind!r} cannot be read ({error!r})") from None


def preprocessor_config(side_px: int, mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    """preprocessor_config.json: shorter side resized, centre cropped, normalised, as the evaluation does it."""
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": len(mean) == 3,
        "do_resize": True,
        "size": {"shortest_edge": side_px},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side_px, "width": side_px},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def _side(image_size: Any) -> int:
    if isinstance(image_size, list | tuple):
        if len(set(image_size)) != 1:
            raise ValueError(f"image_size {image_size} is not square")
        return int(image_size[0])
    return int(image_size)


def _check_variant(config: Mapping[str, Any]) -> None:
    if not config.get("qkv_bias", True):
        raise ValueError("qkv_bias is false")
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"hidden_act is {config['hidden_act']}")
    if abs(float(config.get("layer_norm_eps", 1e-6)) - 1e-6) > 1e-9:
        raise ValueError(f"layer_norm_eps is {config['layer_norm_eps']}")
