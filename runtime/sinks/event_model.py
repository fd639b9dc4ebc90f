"""The form of an event, and the JSON Schema made from it.

python -m wordsight.runtime.sinks.event_model    writes event.schema.json anew
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from wordsight.runtime.files import whole_file

Stamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="ISO 8601, UTC")]
Id = Annotated[
    str, Field(pattern="^[0-9a-f]{32}$", description="the same for the same event, however often it is sent")
]
Decision = Literal["good", "unsure", "defect"]
Count = Annotated[int, Field(ge=0)]


class _Form(BaseModel):
    # A reader leaves aside keys that it does not know: some may be added.
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class RegionForm(_Form):
    """A place in the frame where the heat map is high."""

    box: list[int] = Field(min_length=4, max_length=4, description="x, y, width, height in pixels of the frame")
    area: Count = Field(description="pixels of the frame")
    peak: float = Field(description="highest value of the heat map in it")
    peak_at: list[int] = Field(min_length=2, max_length=2, description="x, y of the pixel where that is")


class FrameForm(_Form):
    """One scored frame."""

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["frame"]
    source: str = Field(description="the picture's path, or the stream, credentials masked")
    frame: Count = Field(description="number of the frame within the source")
    timestamp: Stamp
    score: float
    s_pr: float = Field(description="share of the prompts, 0 to 1")
    s_fnn: float = Field(description="share of the head, 0 to 1")
    s_img: float | None = Field(None, description="share of the references, 0 to 1; only where there are some")
    decision: Decision | None = Field(description="null without a threshold")
    reason: str | None = Field(None, description="only where it is unsure although the score says otherwise")
    line: str
    recipe: str | None = Field(None, description="what it was decided under; only where there are recipes")
    fallback: Literal[True] | None = Field(
        None, description="only where a local model scored it, for the server gave no answer"
    )
    part_id: str | None = Field(None, description="only where trigger, file name or controller name the part")
    event_id: Id
    regions: list[RegionForm] | None = Field(None, max_length=32, description="only where there is a heat map")


class PartForm(_Form):
    """One part that went by: what its frames say together."""

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["part"]
    timestamp: Stamp = Field(description="when its last frame was captured")
    began: Stamp = Field(description="when its first frame was captured")
    line: str
    part_id: str
    decision: Decision
    reason: str | None = Field(None, description="only where it is unsure although its frames say otherwise")
    frames: Count = Field(description="how many were scored")
    defects: Count = Field(description="how many of those were decided as defects")
    unsure: Count = Field(description="how many of those were decided as unsure")
    score: float | None = Field(description="the highest; null without a frame")
    late: bool = Field(description="the decision was not there before its deadline")
    recipe: str | None = Field(None, description="in force when it was decided; only where there are recipes")
    fallback: Literal[True] | None = Field(
        None, description="only where a local model scored some of its frames, for the server gave no answer"
    )
    event_id: Id


EventForm = Annotated[FrameForm | PartForm, Field(discriminator="kind")]


def made_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event, made from these forms."""
    made = TypeAdapter(EventForm).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of a Wordsight line",
        "description": "Leave aside keys that you do not know: some may be added under the same number of the schema.",
        **made,
    }


def schema_text() -> str:
    """Return what event.schema.json is to hold."""
    return json.dumps(made_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    with whole_file(Path(__file__).with_name("event.schema.json"), "w") as file:
        file.write(schema_text())
