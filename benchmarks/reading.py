"""What the records say of ways to read with the models, of words and of questions, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Sequence[str]]


def halves(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``precision.py`` found: NDCG by protocol and precision, then tokens a second."""
    first, second = (name for name in found["quality"][0] if name in ("float32", "bfloat16"))
    ndcg = []
    for each in found["quality"]:
        values = [f"{each[name]:.4f}" for name in (first, second)]
        difference = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*each["difference"])
        ndcg.append([f"{each['protocol']}, {each['users']} users", *values, f"{each['change']:+.1%}", difference])
    rates = [
        [role.replace("_", " "), f"{each[first]:,.0f}", f"{each[second]:,.0f}", f"{each['ratio']:.2f}"]
        for role, each in found["speed"].items()
    ]
    return [
        [["NDCG@10", first, second, "change", "difference"], *ndcg],
        [["tokens a second", first, second, "ratio"], *rates],
    ]


def names(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``naming.py`` found: how near searching comes to reading every title, and how long it takes."""
    rows = [
        ["titles", "people", "recall of the 20 likeliest", "tokens read", "s", "s once a catalogue", "s to read all"]
    ]
    for told in (each for each in found.values() if isinstance(each, Mapping)):
        recall = f"{told['recall']:.3f} (least {told['least_recall']:.2f})" if "recall" in told else "not measured"
        seconds = f"{told['seconds']:.2f} (slowest {told['most_seconds']:.2f})"
        once = f"{told['seconds_once_a_catalogue']:.1f}"
        whole = f"{told['seconds_of_reading_all']:.1f}" if "seconds_of_reading_all" in told else "not measured"
        read, people = f"{told['tokens_read']:,}", str(told["people"])
        rows.append([f"{told['titles']:,}", people, recall, read, seconds, once, whole])
    return [rows]


def picks(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``listwise.py`` found: NDCG of short lists by who ordered them."""
    rows = [[f"NDCG of {found['people']} people's lists", "mean", "change (standard error)"]]
    for name, told in found["ndcg"].items():
        changed = f"{told['change']:+.4f} ({told['standard_error']:.4f})" if told["standard_error"] else ""
        rows.append([name, f"{told['mean']:.4f}", changed])
    rows.append(["share of a pick that goes by the place", f"{found['position_bias']:.2f}", ""])
    return [rows]


def distilled(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``distilling.py`` found on a data set: NDCG, the gate's verdict, agreement and milliseconds."""
    rows = [["", "NDCG@10", "difference", "ms a request"]]
    for name, ms in found["ms"].items():
        if name in found["ndcg"]:
            changed = found["differences"].get(name)
            told = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*changed) if changed else ""
            rows.append([name, f"{found['ndcg'][name]:.4f}", told, f"{ms:.1f}"])
    agreed, verdict = found["agreement"], found["verdict"]
    told = f"{verdict['present_ndcg@10']:.4f} to {verdict['refined_ndcg@10']:.4f}, p {verdict['p']:.3f}"
    let = "let through" if found["promoted"] else "not let through"
    rows += [
        ["agreement with the language model", f"{agreed['before']:.3f} to {agreed['after']:.3f}", "", ""],
        [f"the gate, {verdict['judges']} people", told, let, ""],
    ]
    return [rows]


def words(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``enrichment.py`` found: NDCG by what was read beside the texts, then what choosing took."""
    rows = [["NDCG@10", "mean", "difference", "95 % interval"]]
    for data, told in found.items():
        for each in told["protocols"]:
            asked = f"{each['users']:,} {'written ones' if each['protocol'] == 'requests' else 'people'}"
            for name, one in each["systems"].items():
                about = f"{data}, {each['protocol']}, {each['known']}, {asked}: {name}"
                told_apart = f"[{one['low']:+.4f}, {one['high']:+.4f}]" if "low" in one else ""
                change = f"{one['difference']:+.4f}" if "low" in one else ""
                rows.append([about, f"{one['ndcg@10']:.4f}", change, told_apart])
    took = [["what was chosen", "choices", "s", "cosine with the text", "of the ten nearest in common"]]
    for data, told in found.items():
        for use, one in told["chosen"].items():
            agreed = told.get("agreement") if use == "rewrite" else None
            more = [f"{agreed['cosine']:.3f}", f"{agreed['top_10']:.3f}"] if agreed else ["", ""]
            took.append([f"{data}, {use}", f"{one['choices']:,}", f"{one['seconds']:,.0f}", *more])
    return [rows, took]


def questions(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``questions.py`` found: how long questions and lists take, by size and by what was observed."""
    rows = [["items", "known", "a question, ms (95 %)", "a list, ms (95 %)", "before the first, s"]]
    for size, told in found.items():
        for known, one in told.items():
            times = [f"{one[f'{what}p50_ms']:.1f} ({one[f'{what}p95_ms']:.1f})" for what in ("", "list_")]
            rows.append([f"{int(size):,}", known, *times, f"{one['ready_s']:.2f}"])
    return [rows]


def visits(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``page.py`` found: how long visitors wait for their first list, and what else the browser saw."""
    waits = [f"{found[name]:.0f}" for name in ("first_list_p50_ms", "first_list_p95_ms")]
    seen = [str(found["logged"]), ", ".join(found["barriers"]) or "none"]
    header = ["items", "visitors", "first list, ms", "95 %", "logged in the console", "serious barriers (axe)"]
    return [[header, [f"{found['items']:,}", str(found["visitors"]), *waits, *seen]]]


def asked(found: Mapping[str, Any]) -> list[Rows]:
    """Return what ``asking.py`` found on a data set: NDCG by what is said, ours and the best of the others."""
    rows = [["what is said", "users", "from words alone", "best of the others without interactions", "observed",
             "best of the others", "difference"]]  # fmt: skip
    for name, each in found["situations"].items():
        systems, cells = each["systems"], []
        for ours, beside in each["against"].items():
            met = f" ({systems[ours]['met']:.0%} meet it)" if "met" in systems[ours] else ""
            best = f"{systems[beside['best']]['ndcg@10']:.3f} ({beside['best']})"
            cells += [f"{systems[ours]['ndcg@10']:.3f}{met}", best]
        gain = "{difference:+.3f} [{low:+.3f}, {high:+.3f}]".format(**each["against"]["coldstart observed"])
        rows.append([name, str(each["users"]), *cells, gain])
    return [rows]
