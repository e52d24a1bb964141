"""What a service is told: by arguments, by environment variables and by a file, in this order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from coldstart.errors import ColdstartError
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL

PREFIX = "COLDSTART_SERVE_"
"""Of the environment variables: ``COLDSTART_SERVE_PORT=9000``."""


DEFAULT = "default"
"""The tenant of a service that needs but one."""


class BadSettings(ColdstartError):
    """A setting that isn't known, or whose value can't be used."""


class Settings(BaseSettings):
    """What a service is told. Unknown names are errors in a file and as arguments."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: Path = Field(Path("coldstart-data"), description="Folder of the database and of the tenants' indexes.")
    database: str | None = Field(None, description="URL; an SQLite file in the data folder if left out.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free one.")
    encoder: str = Field(DEFAULT_ENCODER, description="The bi-encoder's name, folder or hub id.")
    language_model: str | None = Field(DEFAULT_LANGUAGE_MODEL, description="The language model's; empty for none.")
    dtype: Literal["float32", "bfloat16", "auto"] = Field(
        "float32", description="What the models multiply; auto: bfloat16 where that is a good deal faster."
    )
    prompts: tuple[Path, ...] = Field((), description="Folders of templates over the built-in ones.")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Of the language model for a request that waits."
    )
    queue: int = Field(64, ge=1, description="Requests that may wait for the models; more are told to come later.")
    batch: int = Field(16, ge=1, description="Requests whose texts are encoded together at most.")
    max_body: int = Field(8 * 2**20, ge=1024, description="Bytes of a request's body at most.")
    page: str | None = Field(None, description="Whose onboarding page is at /; empty for none.")
    rate: float = Field(500.0, gt=0, description="Requests a second that one key may go on making.")
    burst: int = Field(1000, ge=1, description="Requests that one key may make at once.")
    meanings: dict[str, str | float] = Field(
        {}, description="What events of a type say: {skip = 'dislike', view = 0.2}."
    )
    keep_days: float = Field(90.0, gt=0, description="Days for which lists that were given are kept.")
    grace: float = Field(10.0, ge=0, description="Seconds that running requests have to finish at a stop.")

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database or f"sqlite:///{self.data / 'coldstart.sqlite'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the first found first."""
        file = TomlConfigSettingsSource(settings_cls) if settings_cls.model_config.get("toml_file") else None
        del dotenv_settings, file_secret_settings  # a file in the working folder isn't read unasked
        return (init_settings, env_settings) if file is None else (init_settings, env_settings, file)

    @classmethod
    def read(cls, file: Path | None = None, **given: Any) -> Settings:
        """Collect the settings.

        Args:
            file: A TOML file of settings by name; none if None.
            given: Settings that overrule it and the environment; None leaves one as it is.

        Raises:
            BadSettings: A setting that isn't known, or whose value can't be used; the message names it.
        """
        if file is not None and not file.is_file():
            raise BadSettings(f"{file} isn't there: name a TOML file of settings, or leave --config out")
        source = type("Settings", (cls,), {"model_config": {**cls.model_config, "toml_file": file}})
        try:
            found: Settings = source(**{name: value for name, value in given.items() if value is not None})
            return found if found.language_model else found.model_copy(update={"language_model": None})
        except ValidationError as problem:
            told = "; ".join(
                f"{'.'.join(map(str, error['loc']))} is {error.get('input')!r}: {error['msg']}"
                for error in problem.errors(include_url=False)
            )
            raise BadSettings(f"the settings can't be used: {told}; see `coldstart serve --help`") from problem
        except ValueError as problem:
            raise BadSettings(f"{file} isn't TOML: {problem}") from problem
