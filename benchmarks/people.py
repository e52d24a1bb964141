"""Is the first list of a made-up person one that could be defended before them?

Twenty invented sign-ups, each with a check of its own on the five best wines, no interactions used: four of them have
to have the attributes that were asked for. It prints the lists to read, and says which checks fail.

    python benchmarks/people.py --out benchmarks/results/people.json
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coldstart import demo
from coldstart.entities import Item, Profile
from coldstart.recommender import Recommender
from coldstart.wording import shorten
from provenance import finish, print_table, provenance

K, ENOUGH = 5, 4
"""How many are looked at, and how many of them have to be right."""


class Person(NamedTuple):
    """Who signs up, and attributes of which a wine that suits them has one value each."""

    profile: Profile
    wanted: Mapping[str, tuple[str, ...]]


def _says(text: str, **wanted: tuple[str, ...]) -> Person:
    return Person(Profile(text=text), wanted)


_SEA = ("Seafood", "Shellfish", "Rich Fish", "Lean Fish", "Codfish")
_BIG = ("Full-bodied", "Very full-bodied")
_NOT_RED = {"type": ("White", "Rosé", "Sparkling")}
_SWEET = ("Dessert", "Dessert/Port", "Sparkling")
PEOPLE: Mapping[str, Person] = {
    "white wine": _says("a white wine, please", type=("White",)),
    "bold red": _says("bold, full-bodied reds for a steak dinner", type=("Red",), body=_BIG),
    "seafood": _says("I love seafood and want something fresh and crisp", pairings=_SEA),
    "no reds": _says("whites only, no red wine at all", type=("White",)),
    "rosé": _says("rosé for a summer afternoon", type=("Rosé",)),
    "bubbles": _says("bubbles to celebrate a promotion", type=("Sparkling",)),
    "champagne": _says("champagne from France", type=("Sparkling",), country=("France",)),
    "sweet": _says("something sweet to have with dessert", type=_SWEET),
    "port": _says("an old port after dinner", type=("Dessert/Port",)),
    "Italian": _says("Italian reds for pizza and pasta", country=("Italy",), type=("Red",)),
    "Malbec": _says("Malbec from Argentina", grapes=("Malbec",), country=("Argentina",)),
    "Riesling": _says("German Riesling, not too dry", grapes=("Riesling",), country=("Germany",)),
    "light": _says("a light-bodied wine for lunch", body=("Light-bodied", "Very light-bodied")),
    "spicy": _says("what goes with spicy Thai food?", pairings=("Spicy Food",)),
    "cheese": _says("a wine for a board of goat cheese", pairings=("Goat Cheese", "Soft Cheese")),
    "vegetarian": _says("vegetarian cooking, mostly vegetables", pairings=("Vegetarian",)),
    "barbecue": _says("we barbecue beef with friends", pairings=("Beef", "Barbecue")),
    "Portugal": _says("wines from Portugal", country=("Portugal",)),
    "likes a port": Person(Profile(likes=["10 Year Old Tawny Port"]), {"type": ("Dessert/Port",)}),
    "dislikes reds": Person(Profile(text="dinner wine", dislikes=["red wine"]), _NOT_RED),
}  # fmt: skip


def suits(person: Person, item: Item) -> bool:
    """Whether an item has one of the values wanted, of each attribute."""
    for name, wanted in person.wanted.items():
        value = item.attributes.get(name, ())
        if not set(wanted) & set(value if isinstance(value, tuple) else (value,)):
            return False
    return True


def judged(recommender: Recommender) -> dict[str, dict[str, Any]]:
    """Return each person's list, with why, and how many of it are right."""
    found: dict[str, dict[str, Any]] = {}
    for name, person in PEOPLE.items():
        ranked = recommender.recommend(person.profile, k=K, explain=True)
        found[name] = {
            "asked": person.profile.text or f"likes {', '.join(person.profile.likes)}",
            "right": sum(suits(person, one.item) for one in ranked),
            "first": [one.title for one in ranked],
            "because": [one.reasons[0].sentence if one.reasons else "" for one in ranked],
            "right_first": bool(ranked and suits(person, ranked[0].item)),
        }
    return found


def main() -> None:
    """Rank, print and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--index", type=Path, help="Where to keep the index between runs.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    recommender = Recommender.build(demo.wines(), path=options.index)
    found = judged(recommender)
    rows = [["person", "right", "the first wines"]]
    rows += [
        [name, f"{one['right']} of {K}", "; ".join(shorten(title, 24) for title in one["first"])]
        for name, one in found.items()
    ]
    print_table(rows)
    failed = [name for name, one in found.items() if one["right"] < ENOUGH]
    print(f"\n{len(found) - len(failed)} of {len(found)} lists are right; not: {', '.join(failed) or 'none'}")
    models = recommender.recommend(k=1).models
    finish({"benchmark": "people", "seed": 0, "failed": failed, "found": found, **provenance(models)}, options.out)


if __name__ == "__main__":
    main()
