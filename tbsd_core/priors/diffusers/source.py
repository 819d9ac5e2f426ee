"""The place of a pipeline, and its configuration before any weight is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...optional import require
from .parts import read_json, refuse_pickle
from .single_file import recognise

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
DOWNLOADED = ["*.json", "*/*.json", "*/*.safetensors", "*/*.txt", "*/*.model"]  # no pickles, no single checkpoints


@dataclass(frozen=True)
class Pipeline:
    """The configuration of a pipeline: model_index.json and the config files of three of its parts."""

    index: Mapping[str, Any]
    network: Mapping[str, Any]  # the UNet's or transformer's
    vae: Mapping[str, Any]
    scheduler: Mapping[str, Any]

    @property
    def class_name(self) -> str:
        return self.index.get("_class_name", "pipeline without a class name")

    @property
    def title(self) -> str:
        """The name that its maker gives it; "" if unknown."""
        return str(self.index.get("_name_or_path", ""))

    @property
    def family(self) -> str:
        """The name of its presets: sd15, sd21_base, sd21_v, sdxl or sd3."""
        if "3" in self.class_name:
            return "sd3"
        if "XL" in self.class_name:
            return "sdxl"
        width = self.network.get("cross_attention_dim")
        if self.scheduler.get("prediction_type") == "v_prediction" and width != 768:  # that is a fine-tuned SD 1.5
            return "sd21_v"
        return "sd21_base" if width == 1024 else "sd15"

    @property
    def latent_channels(self) -> int:
        return self.vae["latent_channels"]

    @property
    def spatial_factor(self) -> int:
        """Image pixels per latent cell."""
        return 2 ** (len(self.vae["block_out_channels"]) - 1)

    @property
    def native_size(self) -> int | None:
        """Pixels along a side of the pictures it was trained on; None if its configuration does not say."""
        cells = self.network.get("sample_size")
        return cells * self.spatial_factor if isinstance(cells, int) else None


def find(source: str | Path, allow_download: bool = False) -> Path:
    """The local folder or file of a pipeline; a hub id is looked up in the local cache, or fetched if allowed.

    Raises:
        FileNotFoundError: it is not on this machine.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    if not HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"There is no file or folder {str(source)!r}.")
    hub = require("huggingface_hub")
    try:
        return Path(
            hub.snapshot_download(str(source), local_files_only=not allow_download, allow_patterns=DOWNLOADED)
        )
    except hub.errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"There is no file or folder {str(source)!r} on this machine, and no downloaded pipeline of that name. "
            "--allow-download fetches it from the Hugging Face hub."
        ) from error


def inspect(path: Path) -> Pipeline:
    """Read the configuration of a pipeline folder, or recognise the configuration of a single checkpoint."""
    if path.is_file():
        refuse_pickle(path)
        configs = recognise(path)
        return Pipeline(*(configs[name] for name in ("model_index", "unet", "vae", "scheduler")))
    if not (path / "model_index.json").is_file():
        found = sorted(p.name for p in path.glob("*.safetensors"))
        hint = f" It holds single checkpoints; name one of them: {', '.join(found[:5])}." if found else ""
        raise FileNotFoundError(f"{path} is not a diffusers pipeline: it has no model_index.json.{hint}")
    index = read_json(path / "model_index.json")

    def config(part: str, name: str = "config.json") -> dict[str, Any]:
        return read_json(path / part / name) if (path / part).is_dir() else {}

    network = config("unet") or config("transformer")
    return Pipeline(index, network, config("vae"), config("scheduler", "scheduler_config.json"))
