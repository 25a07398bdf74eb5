"""The reference and the how-to pages leave nothing out, and say what the code says."""

import inspect
import re
from collections import Counter

from entrypoints import composition
from entrypoints.http.problems import ALL
from entrypoints.settings import (
    BOOTSTRAP_API_KEY_LENGTH_MAX,
    BOOTSTRAP_API_KEY_LENGTH_MIN,
    CORS_ORIGINS_MAX,
    KNOWN,
    OF_CALLERS,
    RATE_LIMIT_BURST_MS_MAX,
    RATE_LIMIT_MAX,
    REQUEST_TIMEOUT_MS_MAX,
    WORKERS_MAX,
    Settings,
)
from tests.docs.pages import ROOT
from tests.migrations.test_privileges import ALLOWED

ROW = re.compile(r"^\| `(WALLET_[A-Z_]+)` \| (.+) \| (.+) \|$", re.MULTILINE)
BOUNDS = {
    "WALLET_WORKERS": (WORKERS_MAX,),
    "WALLET_RATE_LIMIT": (RATE_LIMIT_MAX,),
    "WALLET_RATE_LIMIT_BURST_MS": (RATE_LIMIT_BURST_MS_MAX,),
    "WALLET_CORS_ORIGINS": (CORS_ORIGINS_MAX,),
    "WALLET_SLOW_REQUEST_MS": (REQUEST_TIMEOUT_MS_MAX,),
    "WALLET_REQUEST_TIMEOUT_MS": (REQUEST_TIMEOUT_MS_MAX,),
    "WALLET_BOOTSTRAP_API_KEY": (BOOTSTRAP_API_KEY_LENGTH_MIN, BOOTSTRAP_API_KEY_LENGTH_MAX),
}


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def rows() -> dict[str, tuple[str, str]]:
    """Of each setting in the reference, what it means and what it is by default."""
    return {name: (meaning, default) for name, meaning, default in ROW.findall(text("reference/settings.md"))}


def test_every_setting_is_in_the_reference_and_no_other() -> None:
    assert sorted(rows()) == sorted({*KNOWN, *OF_CALLERS})


def test_the_defaults_in_the_reference_are_those_of_the_code() -> None:
    said = {name: default.strip("`") for name, (_, default) in rows().items() if default.startswith("`")}
    assert {"WALLET_PORT", "WALLET_HOST", "WALLET_DATA_DIR", "WALLET_WORKERS", "WALLET_REQUEST_TIMEOUT_MS"} <= set(said)
    assert Settings.from_environment(said) == Settings.from_environment({})


def test_the_bounds_in_the_reference_are_those_of_the_code() -> None:
    numbers = {name: {int(each) for each in re.findall(r"\d+", rows()[name][0])} for name in BOUNDS}
    assert [name for name, bounds in BOUNDS.items() if not numbers[name].issuperset(bounds)] == []


def test_every_problem_is_in_the_table_of_what_to_do_under_what_it_says_itself() -> None:
    (table,) = re.findall(r"## Which problem asks for what\n(.*?)\n\n[A-Z]", text("how-to/retry.md"), re.DOTALL)
    said = {}
    for asked, slugs in re.findall(r"^\| `(\w+)`[^|]*\| (.+) \|$", table, re.MULTILINE):
        said.update(dict.fromkeys(re.findall(r"`([a-z-]+)`", slugs), asked))
    assert said == {slug: type_.retry for slug, type_ in ALL.items()}


def test_the_remembered_refusals_are_named_apart_from_those_that_decide_nothing() -> None:
    (rejected,) = re.findall(r"^\| `new_key`, rejected \| (.+) \|$", text("how-to/retry.md"), re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", rejected)) == {
        slug for slug, each in ALL.items() if each.outcome == "rejected"
    }


def test_the_connections_to_plan_with_are_those_that_a_process_opens() -> None:
    sizes = re.findall(r"pool_size=(\w+_CONNECTIONS)", inspect.getsource(composition.application))
    pools = sum(vars(composition)[name] for name in sizes)
    assert len(sizes) > 3
    assert f"at most {pools} connections to PostgreSQL" in text("how-to/production.md")
    assert f"workers × {pools + 1}" in text("how-to/production.md")


def test_every_decision_is_in_their_list_under_its_title() -> None:
    listed = dict(re.findall(r"^- \[(.+)\]\((0.+)\)$", text("decisions/README.md"), re.MULTILINE))
    pages = {
        page.read_text().partition("\n")[0].removeprefix("# "): page.name
        for page in (ROOT / "docs/decisions").glob("0*")
    }
    assert listed == pages


def test_every_table_is_in_the_reference_with_what_the_service_may_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| ?([A-Z, ]*)\|$", text("reference/database.md"), re.MULTILINE)
    assert {table: set(re.findall(r"\w+", may)) for table, may in rows} == ALLOWED


def test_no_page_is_listed_twice() -> None:
    listed = Counter(re.findall(r"^- \[.+?\]\((.+?)\)", text("index.md"), re.MULTILINE))
    assert [page for page, times in listed.items() if times > 1] == []
