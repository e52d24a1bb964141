"""Negation: what a sentence says that a person doesn't want, told apart from what they want.

A bi-encoder reads "no red wine" as being about red wine. English cues only; what has none is wanted as it stands.
"""

from __future__ import annotations

import re

_CUE = re.compile(
    r"""\b(?:
      (?:i\s+)?(?:do\s+not|don['’]?t|does\s+not|doesn['’]?t|did\s+not|didn['’]?t)\s+
        (?:really\s+)?(?:like|want|love|enjoy|drink|eat|watch|play|read|care\s+for|need)
      | (?:i\s+)?(?:can['’]?t|cannot|can\s+not)\s+(?:stand|bear|drink|eat|have|watch)
      | (?:i\s+)?(?:hate|dislike|avoid|detest|loathe)
      | (?:i\s*(?:am|['’]m)\s+)?not\s+(?:a\s+(?:big\s+|great\s+)?fan\s+of|into|keen\s+on|fond\s+of)
      | (?:i\s+)?never\s+(?:drink|eat|watch|play|read|liked?|want)
      | without | except(?:\s+for)? | anything\s+but | nothing | not | no
    )\s+""",
    re.IGNORECASE | re.VERBOSE,
)
_SAYS_NOTHING = re.compile(
    r"""(?:idea|matter|more|less|doubt|problem|preference|preferences|one|longer|sure|only|just|yet|much|many|necessarily
    |really|special|else|in\s+particular|even|know|clue|experience|limits?|rush|hurry|worries|wonder)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_END = re.compile(r"[,.;:!?()\n]|\s(?:but|and|though|although|because|so|yet|just|only|instead|for|i)\s", re.IGNORECASE)
_DEGREE = re.compile(r"^(?:(?:too|very|so|any|anything|all|that|the|a|an|overly|of)\s+)+", re.IGNORECASE)
_AFTER = re.compile(r"\s+(?:at\s+all|please|whatsoever|either|ever|thanks|thank\s+you)$", re.IGNORECASE)
_JOINT = re.compile(
    r"^(?:[\s,.;:!?]|(?:but|and|or)\b)+|(?:[\s,;:]|\b(?:but|and|or|with|that\s+is|that\s+are|is|are))+$", re.IGNORECASE
)

_UNDECIDED = re.compile(
    r"""(?:(?:please|just|so|well|hi|hello|i\s*(?:am|['’]m)|i\s+have|i|really|honestly|and)\b[\s,]*)*
    (?:surprise\s+me | not\s+(?:really\s+|quite\s+|too\s+)?sure(?:\s+yet)? | unsure | no\s+(?:idea|preferences?|clue)
      | (?:do\s+not|don['’]?t)\s+(?:know|mind|care)(?:\s+yet)? | you\s+(?:choose|pick|decide)
      | (?:it['’]?s\s+)?up\s+to\s+you | any(?:thing)? | whatever | undecided )
    (?:\s+(?:please|at\s+all|really|thanks|is\s+fine|will\s+do|goes))*
    (?:\s*[.,;:!?…]+\s*|\s*$|\s+(?=(?:and|so|but)\b))""",
    re.IGNORECASE | re.VERBOSE,
)
_BRIEF = 200

_MOST = 8


def undecided(text: str) -> bool:
    """Return whether a text leaves the choice to others and says nothing else.

    >>> [undecided(text) for text in ("not sure, surprise me!", "I have no idea", "any red", "surprise me with a red")]
    [True, True, False, False]
    """
    text = text[: _BRIEF + 1].strip()
    start = 0
    while start < len(text) <= _BRIEF and (found := _UNDECIDED.match(text, start)) is not None:
        start = found.end()
    return 0 < start == len(text)


def parted(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what a text wants, and the phrases that it doesn't want.

    A text without a negation comes back as it is, and one that only says what isn't wanted leaves nothing.

    >>> parted("whites only, no red wine at all")
    ('whites only', ('red wine',))
    >>> parted("I love seafood but I don't like sweet wine.")
    ('I love seafood', ('sweet wine',))
    >>> parted("I have no idea, surprise me")
    ('I have no idea, surprise me', ())
    """
    kept: list[str] = []
    unwanted: list[str] = []
    start = 0
    for cue in _CUE.finditer(text):
        if cue.start() < start or _SAYS_NOTHING.match(text, cue.end()) or len(unwanted) == _MOST:
            continue
        end = _END.search(text, cue.end())
        stop = len(text) if end is None else end.start()
        phrase = _AFTER.sub("", _DEGREE.sub("", text[cue.end() : stop].strip()))
        if not any(map(str.isalpha, phrase)):
            continue
        kept.append(text[start : cue.start()])
        unwanted.append(phrase)
        start = stop
    if not unwanted:
        return text, ()
    kept.append(text[start:])
    wanted = (_JOINT.sub("", part.strip()) for part in kept)
    return ", ".join(part for part in wanted if any(map(str.isalnum, part))), tuple(dict.fromkeys(unwanted))
