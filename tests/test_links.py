"""README is a short front door, and every link of README and docs/ leads somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = "https://github.com/clipsonic-live/clipsonic-live"
RAW = "https://raw.githubusercontent.com/clipsonic-live/clipsonic-live/main/"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


def links(text):
    """Return the targets of links and images, outside of code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def in_checkout(link):
    """Return the path in the checkout that an absolute link of README names, or None for other sites."""
    match = re.fullmatch(rf"{re.escape(BASE)}/(?:blob|tree)/main/([^#]+)(?:#.*)?|{re.escape(RAW)}(.+)", link)
    return ROOT / (match[1] or match[2]) if match else None


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_readme_tells_how_to_hear_and_to_test():
    assert "make demo" in README and "make test" in README
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)


@pytest.mark.parametrize("link", sorted(set(links(README))))
def test_a_link_of_readme_works_outside_the_repository(link):
    # A package index shows README without the files beside it.
    assert link.startswith("https://"), link
    path = in_checkout(link)
    if path is None:
        assert "clipsonic-live/clipsonic-live" not in link, link
        return
    assert path.exists(), link
    assert path.is_dir() == ("/tree/" in link), link
    if "#" in link:
        assert link.split("#")[1] in anchors(path.read_text("utf-8")), link


def test_readme_links_to_every_client():
    clients = {path.parent for path in (ROOT / "presets" / "clients").glob("*/README.md")}
    assert clients <= {in_checkout(link) for link in links(README)}


def test_every_page_can_be_reached_from_readme():
    reached, todo = set(), {in_checkout(link) for link in links(README)} - {None}
    while todo:
        path = todo.pop()
        reached.add(path)
        if path.suffix == ".md":
            files = {(path.parent / link.split("#")[0]).resolve() for link in links(path.read_text("utf-8"))}
            todo |= {file for file in files if file.exists()} - reached
    assert {ROOT / "docs" / name for name in PAGES} <= reached


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{name}" for name in PAGES)])
def test_links_of_a_page_lead_to_files_and_headings(name):
    path = ROOT / name
    for link in links(path.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{name}: {link}"


def test_every_image_is_shown_somewhere():
    shown = "\n".join([README, *PAGES.values()])
    for image in (ROOT / "docs" / "images").iterdir():
        assert f"images/{image.name}" in shown, image.name


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_whom_it_is_for(name):
    title, empty, first = PAGES[name].splitlines()[:3]
    assert title.startswith("# ") and not empty and first.startswith("For ")


def test_addresses_of_the_project_have_one_base():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("urls", {})
    assert all(url.startswith(BASE) for url in urls.values())
    assert BASE in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_changelog_has_dates_and_the_newest_version_first():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (.+)$", changelog, re.MULTILINE)[0] == "[Unreleased]"
    versions = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert len(versions) == len(re.findall(r"^## ", changelog, re.MULTILINE)) - 1
    order = [(*map(int, version[:3]), version[3]) for version in versions]
    assert order == sorted(order, reverse=True)
    for major, minor, patch, _ in versions:
        assert f"[{major}.{minor}.{patch}]: {BASE}/" in changelog
