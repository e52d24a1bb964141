"""Are reasons true, how often are there any, and what do they cost?

For new users of each data set: the profile is a sentence made of the attributes of what a user likes (the wines) or
written for a genre (MovieLens-100K), five stated likes, attributes, all of these, or nothing; each with and without the
interactions of other users. Every reason of the ten best items is put to the test again, by another path than the one
that found it: the request is written anew without the cause, all candidates are scored through
:meth:`Recommender.score`, and the item must fall. Counted are the reasons that pass, the recommendations that have one,
and the milliseconds that reasons add to a request whose texts were encoded before, and to one whose weren't.

    python benchmarks/reasons.py --data wines --out benchmarks/results/reasons-wines.json
    python benchmarks/reasons.py --data ml-100k --out benchmarks/results/reasons-ml-100k.json
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coldstart.catalogue import Catalogue
from coldstart.entities import Context, Interaction, Profile, Reason
from coldstart.recommender import Recommender
from provenance import finish, print_table, provenance

K = 10
CASES = ("text", "likes", "attributes", "text and likes", "everything", "nothing")


def falls(
    recommender: Recommender, profile: Profile, reason: Reason, item: str, *, context: Context | None = None
) -> bool:
    """Whether an item falls, and doesn't rise past any other, once a reason's cause is taken away."""
    named = {*profile.likes, *profile.dislikes, *(event.item for event in profile.events)}
    titles = Counter(each.title.casefold() for each in recommender.catalogue.items)
    rows = np.array(
        [
            row
            for row, each in enumerate(recommender.catalogue.items)
            if each.id not in named and not (each.title in named and titles[each.title.casefold()] == 1)
        ]
    )
    without, circumstances = _without(profile, context, reason)
    asked = recommender
    if reason.kind in ("appeal", "popularity"):
        asked = recommender.reweighted({reason.cause: 0.0})
    before = recommender.score(profile, rows, context=context)
    after = asked.score(without, rows, context=circumstances)
    place = int(np.flatnonzero(rows == recommender.catalogue.row(item))[0])
    lower = _standing(after)[place] < _standing(before)[place] - 1e-6
    passed = int((after > after[place]).sum()) + 0.5 * int((after == after[place]).sum() - 1)
    return bool(lower and passed >= int((before > before[place]).sum()))


def _without(profile: Profile, context: Context | None, reason: Reason) -> tuple[Profile, Context | None]:
    cause = reason.cause
    if reason.kind == "like":
        kept = [event for event in profile.events if event.item != cause]
        return replace(profile, likes=[like for like in profile.likes if like != cause], history=kept), context
    if reason.kind == "dislike":
        return replace(profile, dislikes=[one for one in profile.dislikes if one != cause]), context
    if reason.kind == "taste":
        return replace(profile, likes=(), history=()), context
    if reason.kind == "text":
        cut = re.sub(rf"(?<!\w){re.escape(cause)}(?!\w)", " ", profile.text, count=1)
        return replace(profile, text=" ".join(cut.split())), context
    if reason.kind == "about":
        return replace(profile, attributes={}), context
    return profile, None if reason.kind == "context" else context


def _standing(scores: Any) -> Any:
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 1e-9 else np.zeros(len(scores))


def measured(recommender: Recommender, profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return what came of explaining the ten best for each profile."""
    passed, told, explained, items = 0, 0, 0, 0
    kinds: Counter[str] = Counter()
    fresh, again = [], []
    for profile in profiles:
        plain = _seconds(lambda profile=profile: recommender.recommend(profile, k=K))
        first = _seconds(lambda profile=profile: recommender.recommend(profile, k=K, explain=True))
        plain = _seconds(lambda profile=profile: recommender.recommend(profile, k=K))
        second = _seconds(lambda profile=profile: recommender.recommend(profile, k=K, explain=True))
        fresh.append(first - plain)
        again.append(second - plain)
        for one in recommender.recommend(profile, k=K, explain=True):
            items += 1
            explained += bool(one.reasons)
            for reason in one.reasons:
                told += 1
                kinds[reason.kind] += 1
                passed += falls(recommender, profile, reason, one.id)
    return {
        "recommendations": items,
        "with_reason": round(explained / max(items, 1), 4),
        "reasons": told,
        "passed": passed,
        "kinds": dict(kinds),
        "ms_new_texts": round(1000 * float(np.median(fresh)), 1),
        "ms_known_texts": round(1000 * float(np.median(again)), 1),
    }


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def profiles_of(
    catalogue: Catalogue, liked: Mapping[str, Sequence[str]], about: Mapping[str, Profile], *, people: int, seed: int
) -> Iterator[tuple[str, list[Profile]]]:
    """Yield each case's profiles: of users with six likes at least, five of them stated."""
    rng = np.random.default_rng(seed)
    users = sorted(user for user, items in liked.items() if len(items) > 5)
    chosen = [users[place] for place in rng.permutation(len(users))[:people]]
    made: dict[str, list[Profile]] = defaultdict(list)
    for user in chosen:
        likes = [liked[user][place] for place in rng.permutation(len(liked[user]))[:5]]
        text, fields = _sentence(catalogue, likes, rng), about.get(user, Profile(attributes={"age": 34})).attributes
        made["text"].append(Profile(text=text))
        made["likes"].append(Profile(likes=likes))
        made["attributes"].append(Profile(attributes=fields))
        made["text and likes"].append(Profile(text=text, likes=likes))
        made["everything"].append(Profile(text=text, likes=likes, attributes=fields, dislikes=[liked[user][-1]]))
    made["nothing"] = [Profile()]
    yield from made.items()


def _sentence(catalogue: Catalogue, likes: Sequence[str], rng: np.random.Generator) -> str:
    """Return a sentence such as a person with these likes might write: two or three of their traits, in plain words."""
    words: Counter[str] = Counter()
    for id_ in likes:
        for value in catalogue[catalogue.row(id_)].attributes.values():
            members = value if isinstance(value, tuple) else (value,)
            words.update({str(member).casefold() for member in members if isinstance(member, str) and len(member) < 25})
    common = [word for word, _ in words.most_common(6)]
    picked = [common[place] for place in rng.permutation(len(common))[:3]]
    forms = (
        "I like {0}, and {1} for an evening with friends",
        "something with {0} and {1}",
        "looking for {0}, {1}, {2}",
    )
    return forms[int(rng.integers(len(forms)))].format(*picked, *["something new"] * 3)


def _data(name: str) -> tuple[Catalogue, dict[str, list[str]], Mapping[str, Profile], list[Interaction]]:
    if name == "wines":
        from importlib.resources import files

        from coldstart.catalogue import Interactions
        from coldstart.demo import wines

        found = Interactions.read(str(files("coldstart") / "data" / "wine-ratings.parquet"))
        catalogue, users = wines(), dict[str, Profile]()
    else:
        from coldstart.evaluation.datasets import load

        dataset = load("ml-100k")
        catalogue, users, found = dataset.catalogue, dict(dataset.profiles), dataset.interactions
    liked: dict[str, list[str]] = defaultdict(list)
    events = list(found)
    for event in events:
        if event.item in catalogue and (event.value or 0) >= 4:
            liked[event.user].append(event.item)
    return catalogue, liked, users, events


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", choices=("wines", "ml-100k"), default="wines")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--index", type=Path, help="Where to keep the index between runs.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    catalogue, liked, about, events = _data(options.data)
    words = Recommender.build(catalogue, path=options.index)
    cases = list(profiles_of(catalogue, liked, about, people=options.people, seed=options.seed))
    told = set(sorted(liked)[: len(liked) // 2])
    observed = words.unlearned()
    observed.observe([event for event in events if event.user in told])
    found = {
        platform: {case: measured(recommender, profiles) for case, profiles in cases}
        for platform, recommender in (("words alone", words), ("observed", observed))
    }
    rows = [["", "with a reason", "reasons", "passed", "ms, known texts", "ms, new texts"]]
    for platform, by_case in found.items():
        for case, one in by_case.items():
            rows.append([f"{platform}: {case}", f"{one['with_reason']:.1%}", str(one["reasons"]), str(one["passed"]),
                         str(one["ms_known_texts"]), str(one["ms_new_texts"])])  # fmt: skip
    print_table(rows)
    record = {"benchmark": "reasons", "data": options.data, "seed": options.seed, "people": options.people,
              "found": found, **provenance(words.recommend(k=1).models)}  # fmt: skip
    finish(record, options.out)


if __name__ == "__main__":
    main()
