"""Settings of the data, of the run and of its probe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel
from trainer.data.remote.settings import SHUFFLE_SHARDS, RemoteSettings


class DataSection(StrictModel):
    """Where training images come from."""

    path: str = Field(
        "workspace/dataset",
        description="dataset folder, WebDataset tars, parquet files, image folder or file list; the first three "
        "also by address (s3://, gs://, https://, ...)",
    )
    workers: int | None = Field(None, ge=0, description="loader processes; none chooses by cores and device")
    augment_on: Literal["workers", "device"] = Field(
        "workers",
        description="where colours, blur and solarisation of crops are made, with equal results; device: where the "
        "model trains, which spares the workers that time",
    )
    shuffle_shards: int = Field(
        SHUFFLE_SHARDS, ge=1, description="tars read by address whose images are shuffled together; fetched ahead"
    )
    remote: RemoteSettings = Field(RemoteSettings(), description="how addresses are read")


class RunSection(StrictModel):
    """Length, batch, device and what is written while the run goes on."""

    steps: int = Field(125_000, ge=1, description="optimiser steps")
    batch_size: int = Field(64, ge=1, description="images per optimiser step, over all devices")
    micro_batch_size: int | None = Field(
        None, ge=1, description="images per forward pass; gradients add up to batch_size. None: what fits the memory"
    )
    seed: int = Field(0, ge=0, description="seed of weights, crops, masks and stochastic depth")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the forward pass; auto is bf16 on GPUs that have it and fp32 elsewhere"
    )
    log_every_steps: int = Field(10, ge=1, description="steps between two lines of metrics.jsonl")
    checkpoint_every_steps: int = Field(1000, ge=1, description="steps between two checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="newest checkpoints that are kept")
    background_checkpoints: bool = Field(
        False, description="write checkpoints while training goes on, from a copy in memory; false: training waits"
    )
    export_every_steps: int = Field(0, ge=0, description="steps between two exports; 0 exports at the end only")
    max_skipped_steps: int = Field(20, ge=1, description="non-finite steps in a row after which the run stops")


class ProbeSection(StrictModel):
    """k-NN accuracy, and that of a linear probe, on labelled images while the run goes on."""

    data: str | None = Field(None, description="labelled images (any source with classes); none runs no probe")
    test: str | None = Field(None, description="labelled test images; none splits `data` in two halves")
    every_steps: int = Field(1000, ge=1, description="steps between two probes; one more at the start and the end")
    k: int = Field(20, ge=1, description="neighbours that vote")
    linear_steps: int = Field(
        0, ge=0, description="steps for which a linear probe is trained at every probe; 0: k-NN alone"
    )
    image_px: int | None = Field(None, ge=4, description="side of the probe images, px; none takes crops.global_px")
    max_images: int = Field(2000, ge=2, description="at most so many images of each part are read")
    batch_size: int = Field(64, ge=1, description="images per forward pass of the probe")
