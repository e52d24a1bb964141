"""Laws of the container files: they name what is there, and settings that exist."""

import re
from pathlib import Path

import pytest
import yaml

from coldstart.service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
INSTRUCTIONS = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}


def instructions():
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_every_instruction_is_one_and_the_process_is_nobody_special():
    assert {name for name, _ in instructions()} <= INSTRUCTIONS | {"ENTRYPOINT", "CMD"}
    assert instructions()[0][0] == "FROM"
    assert ["USER", "coldstart"] in instructions()


def test_what_is_copied_is_there_and_isnt_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    for name, rest in instructions():
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in kept, source


@pytest.mark.parametrize("text", [DOCKERFILE, str(COMPOSE)], ids=["Dockerfile", "compose.yaml"])
def test_settings_exist(text):
    named = set(re.findall(rf"{PREFIX}(\w+)", text)) - {"GRACE"}
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_services_belong_together():
    services = COMPOSE["services"]
    assert set(services["coldstart"]["depends_on"]) == {"postgres"}
    url = services["coldstart"]["environment"]["COLDSTART_SERVE_DATABASE"]
    postgres = services["postgres"]["environment"]
    assert url.startswith(f"postgresql://{postgres['POSTGRES_USER']}:")
    assert url.endswith(f"@postgres/{postgres['POSTGRES_DB']}")
    for service in services.values():
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
    grace = int(services["coldstart"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings().grace
