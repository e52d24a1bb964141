"""What requests and answers look like. Unknown fields are errors, and so is a number written as text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, StringConstraints

from coldstart.entities import Context, Item, Profile

MOST = 1000
"""Items, events and documents in one request at most, and ranks that can be paged to."""

_BLANK = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SAFE = 2**53  # what every reader of JSON reads as the same number


def _text(*, most: int, pattern: str = r"^[^\u0000]*$", least: int = 0) -> Any:
    return StringConstraints(min_length=least, max_length=most, pattern=pattern)


Text = Annotated[str, _text(most=20_000)]
Phrase = Annotated[str, _text(most=1000, least=1)]
Title = Annotated[str, _text(most=2000, least=1, pattern=rf"^[^\u0000]*[^{_BLANK}][^\u0000]*$")]
Id = Annotated[str, _text(most=256, least=1, pattern=rf"^[^{_BLANK}]([^\u0000-\u001f\u007f]*[^{_BLANK}])?$")]
"""No control characters, and no white space at its ends."""
Name = Annotated[str, _text(most=100, least=1, pattern=rf"^[^{_BLANK}]+$")]


def _whole(value: Any) -> Any:
    """Take 5.0 for 5, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Scalar = bool | Annotated[int, Field(ge=-_SAFE, le=_SAFE)] | FiniteFloat | Text
Attributes = Annotated[
    dict[Name, Scalar | Annotated[list[Scalar], Field(max_length=256)] | None],
    Field(max_length=200, json_schema_extra={"additionalProperties": False}),  # but for what the names' pattern allows
]
Ids = Annotated[list[Id], Field(max_length=10_000)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=1e11, description="Seconds since 1970, UTC.")]


def _frozen(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with tuples for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}


class Message(BaseModel):
    """The base of all: strict, closed, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ProfileBody(Message):
    """What is known of a user; all of it may be left out."""

    text: Text = Field("", description="In the user's or the product's words.")
    attributes: Attributes = Field(default_factory=dict, description="Fields of the sign-up: age, country.")
    likes: Annotated[list[Phrase], Field(max_length=1000)] = Field([], description="Item ids, titles or phrases.")
    dislikes: Annotated[list[Phrase], Field(max_length=1000)] = []
    history: Ids = Field([], description="Ids of past items, oldest first.")

    def profile(self) -> Profile:
        """Return it as the engine has it."""
        return Profile(self.text, _frozen(self.attributes), self.likes, self.dislikes, self.history)


class UserBody(Message):
    """What a user stated."""

    id: str
    profile: ProfileBody


class ItemBody(Message):
    """An item of the catalogue."""

    id: Id
    title: Title
    attributes: Attributes = Field(default_factory=dict)

    def item(self) -> Item:
        """Return it as the engine has it."""
        return Item(self.id, self.title, _frozen(self.attributes))


class ItemsBody(Message):
    """Items to create or, where their id is known, to replace."""

    items: Annotated[list[ItemBody], Field(min_length=1, max_length=MOST)]
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"id": "w1", "title": "Malbec", "attributes": {"type": "Red"}}]}]}
    )


class ItemsDone(Message):
    """What became of them; all are eligible from now on."""

    created: int
    replaced: int
    pending: int = Field(
        description="Items of the tenant whose appeal is an estimate until the language model read them."
    )


class Range(Message):
    """A range of numbers, its ends included."""

    min: FiniteFloat | None = None
    max: FiniteFloat | None = None


class Not(Message):
    """Anything but this."""

    not_: Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=1000)] = Field(alias="not")


Condition = Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=1000)] | Not | Range


class RecommendBody(Message):
    """Whom to rank for, and what."""

    user_id: Id | None = Field(None, description="A stored user; one that nothing is known of is fine.")
    profile: ProfileBody | None = Field(None, description="What is known besides; it is never stored.")
    context: Attributes = Field(default_factory=dict, description="Circumstances: time, place, device.")
    k: Annotated[int, Field(ge=1, le=MOST), _WHOLE] = 10
    depth: Annotated[int, Field(ge=1, le=MOST), _WHOLE] | None = Field(
        None, description="How many to rank for paging; k if left out."
    )
    where: Annotated[dict[Name, Condition], Field(max_length=50)] = Field(
        default_factory=dict,
        json_schema_extra={"additionalProperties": False},
        description="Conditions on attributes: a value, a list, {min, max} or {not: ...}.",
    )
    exclude: Ids = []
    candidates: Annotated[list[Id], Field(min_length=1, max_length=10_000)] | None = None
    language: Annotated[int, Field(ge=0, le=200), _WHOLE] = Field(
        0, description="How many of the best the language model reads."
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000), _WHOLE] | None = Field(
        None, description="Return the best list so far after this time, marked as degraded."
    )
    refine: Literal["background"] | None = Field(
        None, description="Return at once, and let the language model refine the list for the next request like this."
    )
    explain: bool = Field(False, description="Tell why each item is there, and what each scorer had in it.")
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"profile": {"text": "a bold red for a steak dinner"}, "k": 5, "explain": True}]
        }
    )

    def conditions(self) -> dict[str, Any]:
        """Return the conditions as the engine has them."""
        return {
            name: condition.model_dump(by_alias=True, exclude_none=True)
            if isinstance(condition, Message)
            else condition
            for name, condition in self.where.items()
        }

    def circumstances(self) -> Context | None:
        """Return the context as the engine has it."""
        return Context(_frozen(self.context)) if self.context else None


class Part(Message):
    """What one scorer had in an item's place: only what raised it."""

    scorer: str
    contribution: float
    meaning: str


class Reason(Message):
    """Why an item is there: without the cause it would stand lower by ``fall`` standard deviations of all scores.

    ``sentence`` says the same to the person, and claims nothing else.
    """

    kind: Literal["like", "dislike", "taste", "text", "about", "context", "popularity", "appeal"]
    cause: str
    sentence: str
    fall: float


class Ranked(Message):
    """One recommended item.

    ``source`` is the scorer that had the largest part in it. ``propensity`` is the chance with which it was shown at
    this rank: 1, since lists are ranked and not drawn.
    """

    id: str
    title: str
    rank: int
    score: float
    source: str | None
    propensity: float
    parts: list[Part] | None = None
    reasons: list[Reason] | None = Field(
        None, description="Each was put to the test; empty where none passed. Never stored, so that a page has none."
    )


class Recommended(Message):
    """A list and how it came about."""

    recommendation_id: str
    items: list[Ranked]
    total: int = Field(description="How many were ranked, and can be paged through.")
    degraded: bool = Field(description="Whether something asked for could not be done; fallback_reason says what.")
    fallback_reason: str
    notes: list[str]
    refined: Literal["pending", "ready"] | None = None
    template_hash: str
    models: dict[str, str]
    adapter: str | None


class ShownBody(Message):
    """How much to show."""

    k: Annotated[int, Field(ge=0, le=200), _WHOLE] = Field(12, description="How many items; 0 for the question alone.")
    explain: bool = Field(False, description="Tell why each item is there; /reasons tells it later.")
    question: bool = Field(True, description="Plan the next question; false for the list alone, which is there sooner.")


class SessionBody(ShownBody):
    """Who signs up; kept for a day after their last answer."""

    profile: ProfileBody | None = None
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"profile": {"text": "bold reds for a steak dinner"}, "k": 12, "explain": True}]
        }
    )


class AnswerBody(ShownBody):
    """An answer to a question, or to none that was asked: ``item:ID`` with ``like``, ``dislike`` or ``unknown``."""

    question_id: Text
    value: Text | Annotated[list[Text], Field(max_length=100)] | None = Field(
        None, description="Option ids, the text, or null to skip."
    )
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"question_id": "chips:grapes=Malbec|Merlot", "value": ["Malbec"]}]}
    )


class Option(Message):
    """Something to choose."""

    id: str
    label: str


class Question(Message):
    """What to ask. Of ``chips`` and ``items`` any number may be chosen, of the others one; a ``text`` is written."""

    id: str
    kind: Literal["chips", "chip", "items", "item", "pair", "text"]
    prompt: str
    options: list[Option]
    gain: float | None


class Suggested(Message):
    """An item on a shelf. ``propensity`` is the chance with which it is shown; below 1 if it was drawn to explore."""

    id: str
    title: str
    score: float
    rank: int
    source: str
    propensity: float
    exploration: bool
    attributes: dict[str, Any]
    reasons: list[Reason] | None = None


class Shelf(Message):
    """Items that are shown for what the title says."""

    title: str
    source: str
    items: list[Suggested]


class Session(Message):
    """Where a session stands: what to ask next, and the list.

    The question is null if nothing is worth asking, and then ``ending`` says why, or if none was asked for.
    """

    session_id: str
    expires: float
    answered: int
    question: Question | None
    ending: str
    recommendation_id: str | None
    shelves: list[Shelf]


class WhyBody(Message):
    """How much of a session's list to explain."""

    k: Annotated[int, Field(ge=1, le=200), _WHOLE] = Field(12, description="As for the list itself.")


class Why(Message):
    """Why each item of a session's list is there, by its id."""

    reasons: dict[str, list[Reason]]


class EventBody(Message):
    """One thing a user did, or was shown.

    ``like``, ``dislike``, ``hide`` and ``return`` say so; a ``rating`` is from 1 to 5; an ``impression`` or a ``skip``
    says that an item was shown; a ``view`` or a ``click`` is a weak sign of interest and anything else, such as a
    ``purchase``, a sign of interest, unless the service was told otherwise.
    """

    event_id: Id = Field(description="The same id again is the same event.")
    user_id: Id
    item_id: Id
    event_type: EventType = "interaction"
    value: FiniteFloat | None = None
    timestamp: Seconds | None = None
    recommendation_id: Id | None = None


class EventsBody(Message):
    """Events to keep."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MOST)]
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"events": [{"event_id": "e1", "user_id": "ann", "item_id": "w1", "event_type": "like"}]}]
        }
    )


class EventsDone(Message):
    """What became of them; all are committed."""

    accepted: int = Field(description="How many were new.")
    duplicates: int = Field(description="How many were known by their id.")
    types: dict[str, str | float] = Field(description="What events of each type say: like, dislike, ..., or a weight.")


class Document(Message):
    """A text to rank."""

    text: Text


class RerankBody(Message):
    """Texts to order by how close they are to a query, as Jina's and Cohere's services take them."""

    query: Text
    documents: Annotated[list[Text | Document], Field(min_length=1, max_length=MOST)]
    top_n: Annotated[int, Field(ge=1, le=_SAFE), _WHOLE] | None = None
    model: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Ignored but for the answer."
    )
    return_documents: bool = False
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "steak dinner", "documents": ["Malbec", "Soave"], "top_n": 1}]}
    )


class RerankResult(Message):
    """One text's place: ``relevance_score`` is the cosine with the query."""

    index: int
    relevance_score: float
    document: Document | None = None


class Usage(Message):
    """What it took."""

    total_tokens: int


class Reranked(Message):
    """The texts, closest first."""

    model: str
    results: list[RerankResult]
    usage: Usage


class Erased(Message):
    """How many rows were about a user."""

    profiles: int
    events: int
    recommendations: int


class Adapters(Message):
    """The refinements there are, and the one in use."""

    adapters: list[str]
    active: str | None


class Health(Message):
    """Whether the service runs, or can answer."""

    status: Literal["ok", "starting", "unavailable"]
    detail: str = ""


class FieldProblem(Message):
    """One field that can't be used."""

    field: str
    detail: str
    remedy: str


class Problem(Message):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] = []
