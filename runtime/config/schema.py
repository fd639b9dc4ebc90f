"""What a line's file may say, as pydantic models; each field's description is what an error says was expected.

Nothing here looks at a disk: see `check` for models, calibrations, sources and sinks.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Decision = Literal["good", "unsure", "defect"]


class Spec(BaseModel):
    """Refuses keys that it does not know and values of another type: "8" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Name = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x20\x7f/][^\x00-\x1f\x7f/]{0,63}$",
        description='a name of up to 64 characters without a slash, such as "press-3"',
    ),
]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
File = Annotated[str, Field(min_length=1)]
OffOrFile = Literal[False] | File


class GateSpec(Spec):
    """Limits of exposure and sharpness, see `gate.Gate`; those that are not given are the calibration's, or off."""

    darkest: Annotated[float, Field(ge=0, le=255)] | None = Field(None, description="a mean grey level, 0 to 255")
    brightest: Annotated[float, Field(ge=0, le=255)] | None = Field(None, description="a mean grey level, 0 to 255")
    most_clipped: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="the share of blown-out pixels that is borne, 0 to 1"
    )
    least_sharp: Level | None = Field(None, description="the least variance of the Laplacian, 0 or more")


class PartsSpec(Spec):
    """How the frames of a part decide over it, see `part_rule.PartRule`."""

    defects: int = Field(1, ge=1, description='n of "n of m frames are defects", 1 or more')
    of: int | None = Field(None, ge=1, description='m of "n of m frames in a row", at least n; without it all frames')
    hold: bool = Field(False, description="true or false: unsure frames behind a defect count as defects")
    frames: int | None = Field(None, ge=1, description="how many frames a part has")
    least: int = Field(1, ge=1, description="how many frames a part has at least, 1 or more")
    gap_ms: float | None = Field(None, gt=0, description="milliseconds without a frame that end a part, above 0")
    deadline_ms: float | None = Field(None, gt=0, description="milliseconds until the decision must be there, above 0")

    @model_validator(mode="after")
    def _possible(self) -> "PartsSpec":
        from wordsight.runtime.errors import SettingError
        from wordsight.runtime.part_rule import PartRule

        try:
            PartRule(**self.model_dump())
        except SettingError as error:
            raise ValueError(str(error)) from error
        return self


class Judged(Spec):
    """What a line is decided by, and a recipe may change."""

    object: str | None = Field(None, min_length=1, description='an object that the model knows, such as "metal nut"')
    roi: list[int] | None = Field(
        None, min_length=4, max_length=4, description="x, y, width, height in pixels, such as [320, 40, 1280, 1000]"
    )
    mask: OffOrFile | None = Field(
        None, description="a picture as large as a frame, black where nothing is looked at, or false"
    )
    defect: Level | None = Field(None, description="the score from which a frame is a defect, such as 1.1")
    unsure: Level | None = Field(None, description="the score from which a frame is not good, at most `defect`")
    calibration: OffOrFile | None = Field(
        None, description="a file of wordsight calibrate, or false; without the key the one beside the model"
    )
    gate: Literal[False] | GateSpec | None = Field(
        None, description="limits such as { darkest = 30, least_sharp = 40 }, or false"
    )
    references: OffOrFile | None = Field(
        None, description="a file of wordsight reference add, or false; without the key the one beside the model"
    )
    shots: int | None = Field(None, ge=1, description="how many of the references are taken, 1 or more")
    s_img: Literal["embedding", "association"] | None = Field(None, description='"embedding" or "association"')
    weight_img: Level | None = Field(None, description="the weight of s_img in the score, 0 or more")
    parts: Literal[False] | PartsSpec | None = Field(
        None, description="a rule such as { defects = 2, of = 3, deadline_ms = 400 }, or false"
    )

    @field_validator("roi")
    @classmethod
    def _region(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and (min(value) < 0 or not value[2] or not value[3]):
            raise ValueError("no region")
        return value

    @model_validator(mode="after")
    def _one_source_of_thresholds(self) -> "Judged":
        if self.unsure is not None and self.defect is None:
            raise ValueError("unsure needs defect beside it: give both, or neither and a calibration")
        if self.unsure is not None and self.defect is not None and self.unsure > self.defect:
            raise ValueError(f"expected unsure of at most defect, {self.defect:g}, got {self.unsure:g}")
        if self.defect is not None and isinstance(self.calibration, str):
            raise ValueError("expected thresholds (defect) or a calibration, got both: leave one out")
        return self


class LineSpec(Judged):
    """One line: a source, and what its frames are decided by."""

    name: Name
    source: str = Field(min_length=1, description='a folder, file, glob, camera or URL, such as "camera:0"')
    credentials: File | None = Field(
        None, description="a file with user and password that only its owner can read; or use the environment"
    )
    part_id: str | None = Field(
        None, description=r"a regular expression for the part in the file's name, such as '^(\d+)_'"
    )
    trigger: Literal["none", "hardware", "software"] = Field("none", description='"none", "hardware" or "software"')
    take: Literal["newest", "every"] | None = Field(
        None, description='"newest" (older frames may be dropped) or "every"; without the key as the source is'
    )
    open_timeout_s: Seconds = Field(10.0, description="seconds that opening may take, above 0")
    read_timeout_s: Seconds = Field(5.0, description="seconds that a read may take, above 0")
    stall_s: Seconds = Field(10.0, description="seconds without a frame until it counts as stalled, above 0")
    give_up_s: Seconds = Field(60.0, description="seconds after which a read that hangs is left behind, above 0")
    frozen_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        10.0, description="seconds of the very same picture until it counts as frozen; 0: never"
    )

    @field_validator("part_id")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"no regular expression: {error}") from error
        return value

    @property
    def variable(self) -> str:
        """What the line is called in names of environment variables: PRESS_3."""
        return re.sub(r"[^A-Z0-9]", "_", self.name.upper())


class RecipeLine(Judged):
    """What a recipe changes for one line."""

    model: File | None = Field(None, description='an exported model, such as "nut.onnx"')


class RecipeSpec(RecipeLine):
    """A named recipe: what it changes for every line, and for single ones under `[recipe.line.NAME]`."""

    name: Name
    number: int | None = Field(None, ge=0, description="a number by which a controller selects it, 0 or more")
    line: dict[str, RecipeLine] = Field(
        default_factory=dict, description="tables [recipe.line.NAME], one for each line that it treats differently"
    )


class SinkSpec(Spec):
    """A sink: the keys that all have; the rest is the type's own."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: str = Field(min_length=1, description='a type of sink, such as "jsonl"')
    name: Name | None = None
    only: list[Decision] | None = Field(
        None, min_length=1, description='decisions that it is given, such as ["unsure", "defect"]'
    )
    of: Literal["frames", "parts", "both"] = Field("both", description='"frames", "parts" or "both"')
    lines: list[str] | None = Field(
        None, min_length=1, description="names of the lines whose events it gets; without the key all"
    )

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the type."""
        return dict(self.model_extra or {})


class RemoteSpec(Spec):
    """How a server is asked for scores, see `backends.remote_settings.RemoteSettings`."""

    # An answer may be waited for while a signal asks the process to end, or a part's deadline passes.
    deadline_ms: Annotated[float, Field(gt=0, le=5000)] = Field(
        2000.0, description="milliseconds for one request, attempts and pauses included, above 0 to 5000"
    )
    fallback: File | None = Field(None, description="the exported file that scores while the server gives no answer")
    any_fallback: bool = Field(False, description="true or false: the fallback may be another file than the server's")
    expect_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="the SHA-256 of the exported file that the server must serve"
    )
    manifest: File | None = Field(
        None, description="the exported file that the server serves, where it does not tell its manifest"
    )
    ca: File | None = Field(None, description="a PEM file of the authorities that are trusted")
    token_file: File | None = Field(
        None, description="a file with a token that only its owner can read; or use WORDSIGHT_REMOTE_TOKEN"
    )

    @model_validator(mode="after")
    def _which_model(self) -> "RemoteSpec":
        if self.any_fallback and (self.fallback is None or self.expect_sha256 is None):
            raise ValueError(
                "any_fallback needs fallback beside it, and expect_sha256: which file the server must have"
            )
        return self


class LineFile(Spec):
    """All of it."""

    model: File = Field(
        description='an exported model, such as "line3.onnx", or one on a server, such as "grpc://host:8001/model"'
    )
    remote: RemoteSpec | None = Field(None, description="a table [remote]: how a server is asked for scores")
    status: File | None = Field(None, description='the status file, such as "status.json"')
    state: File | None = Field(
        None, description="a folder for what is remembered across a restart; without the key NAME.state"
    )
    backend: str = Field("auto", min_length=1, description="auto, or an engine that wordsight doctor lists")
    batch: int = Field(8, ge=1, le=1024, description="most frames in one pass of the engine, 1 to 1024")
    wait_ms: Annotated[float, Field(ge=0, le=10_000)] = Field(
        0.0, description="milliseconds that a batch may wait to be filled, 0 to 10000"
    )
    start_recipe: str | None = Field(
        None, description="the name of the recipe that is in force until another is selected"
    )
    web: str | None = Field(None, description='where the page is, such as "127.0.0.1:8080"')
    web_credentials: File | None = Field(
        None, description='a file with token = "..." that only its owner can read; or use WORDSIGHT_WEB_TOKEN'
    )
    web_hosts: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="further names of the page's host, such as a proxy's [\"plant.local\"]"
    )
    line: list[LineSpec] = Field(min_length=1, description="at least one [[line]]")
    recipe: list[RecipeSpec] = Field(default_factory=list, description="tables [[recipe]]")
    sink: list[SinkSpec] = Field(default_factory=list, description="tables [[sink]]")

    @field_validator("web")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            from wordsight.runtime.errors import SettingError
            from wordsight.runtime.web.access import address

            try:
                address(value)
            except SettingError as error:
                raise ValueError(str(error)) from error
        return value
