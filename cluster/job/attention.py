"""The section ``model.attention``, and how a job file names the parts that a model is made of.

Which parts there are, and which options they take, isn't known here: plug-ins bring more of them, and looking at a
part's class takes torch. ``saccade.cluster.parts`` checks that where a job is used.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializationInfo,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from saccade.cluster.job.section import Section

WRITTEN_OUT = "written out"
"""The serialization context in which a part without options is a section as well."""


class Part(BaseModel):
    """A registered part: its name, or a section of its name and its options."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """Which part; the keys beside it are its options."""

    @property
    def options(self) -> dict[str, Any]:
        """What the job sets of it."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        given = {"name": given} if isinstance(given, str) else given
        named = isinstance(given, dict) and isinstance(given.get("name"), str) and given["name"]
        if not named and not isinstance(given, Part):
            raise PydanticCustomError("part", "a part")
        return given

    @model_serializer
    def _short(self, info: SerializationInfo) -> str | dict[str, Any]:
        long = bool(self.options) or info.context == WRITTEN_OUT
        return {"name": self.name, **self.options} if long else self.name

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The short form is allowed too."""
        section = handler.resolve_ref_schema(handler(schema))
        return {"title": "Part", "description": cls.__doc__, "anyOf": [{"type": "string", "minLength": 1}, section]}


class Attention(Section):
    """What an attention layer is made of: weights = normalizer(score(q, k) + positions, where the masks allow)."""

    score: Part = Part(name="scaled_dot")
    """How well a query and a key match."""

    normalizer: Part = Part(name="softmax")
    """From a query's scores to weights."""

    masks: tuple[Part, ...] = ()
    """Which pairs may meet: those that every mask allows, and the model itself (sasrec is causal)."""

    positions: tuple[Part, ...] = ()
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""

    key_heads: int | None = Field(default=None, ge=1)
    """Heads of keys and values, a divisor of model.heads, which share them (grouped-query attention); null: as many."""

    backend: Literal["auto", "varlen", "flex", "grouped", "reference"] = "auto"
    """What computes it; auto: the fastest that can. It doesn't change the result beyond rounding."""
