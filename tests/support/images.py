"""Images that a container engine of this machine has, if there is one."""

import os
import re
from pathlib import Path
from typing import Final

import docker
from docker.errors import DockerException

ROOT: Final = Path(__file__).parents[2]
ENGINE_ANSWER_S_MAX: Final = 5


def base_images() -> dict[str, str]:
    """The Dockerfile's arguments that name base images, with those that are to be used: ``WALLET_TEST_<argument>``, or
    what the Dockerfile says."""
    arguments: list[tuple[str, str]] = re.findall(
        r"^ARG ([A-Z]+_IMAGE)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    return {name: os.environ.get(f"WALLET_TEST_{name}") or image for name, image in arguments}


def in_stock(image: str) -> bool:
    """Whether an engine answers and has the image. None is pulled."""
    try:
        engine = docker.from_env(timeout=ENGINE_ANSWER_S_MAX)
    except DockerException:
        return False
    try:
        return bool(engine.images.list(image))
    except DockerException:
        return False
    finally:
        engine.close()
