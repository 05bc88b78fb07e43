"""Writes the repository's address into README and notebooks.

The address is set in one place, `url` of setup.cfg; after a change,

    python scripts/write_addresses.py

makes the links of the README absolute, lets badges open the notebooks in Colab,
and lets the notebooks' first cells install from it. Without an address it
writes relative links, and a sentence in place of each badge.
"""

import configparser
import json
import pathlib
import re

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# Colab opens notebooks of GitHub by their path in a repository.
_COLAB = "https://colab.research.google.com"
_BADGE = f"[![Open in Colab]({_COLAB}/assets/colab-badge.svg)]"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_MARKED = re.compile(r"(<!-- colab -->).*?(<!-- /colab -->)", re.DOTALL)
_ADDRESS = re.compile(r'^ADDRESS = ".*"', re.MULTILINE)


def main() -> None:
    """Rewrites the README and the notebooks."""
    address = read_address(_ROOT / "setup.cfg")
    page = _ROOT / "README.md"
    page.write_text(rewrite_readme(page.read_text("utf-8"), address), "utf-8")
    for path in sorted(_ROOT.glob("notebooks/*.ipynb")):
        text = rewrite_notebook(path.read_text("utf-8"), path.name, address)
        path.write_text(text, "utf-8")


def read_address(setup: pathlib.Path) -> str:
    """Reads the repository's address; empty: it is not set."""
    parser = configparser.ConfigParser()
    parser.read(setup)
    return parser["metadata"].get("url", "").strip().rstrip("/")


def rewrite_readme(text: str, address: str) -> str:
    """Returns the README with absolute links and its badge."""
    path = "notebooks/quickstart.ipynb"
    badge = format_colab_link(path, address, called=f"[{path}]({path})")
    text = _MARKED.sub(lambda m: f"{m[1]}{badge}{m[2]}", text)
    return _LINK.sub(lambda m: _rewrite_link(m, address), text)


def rewrite_notebook(text: str, name: str, address: str) -> str:
    """Returns a notebook with its badge and the address in its first cell."""
    content = json.loads(text)
    title, install = content["cells"][:2]
    lines = "".join(title["source"]).split("\n\n")
    lines[1] = format_colab_link(
        f"notebooks/{name}", address, called="this notebook"
    )
    title["source"] = "\n\n".join(lines).splitlines(keepends=True)
    source = "".join(install["source"])
    source = _ADDRESS.sub(f'ADDRESS = "{address}"', source)
    install["source"] = source.splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def format_colab_link(path: str, address: str, *, called: str) -> str:
    """Formats the badge or sentence about opening a notebook in Colab."""
    place = re.match(r"https://github\.com/([^/]+/[^/]+)$", address)
    if place:
        return f"{_BADGE}({_COLAB}/github/{place[1]}/blob/HEAD/{path})"
    return (
        f"In [Colab]({_COLAB}/), upload {called}: a badge that opens it "
        "follows when the repository has an address."
    )


def _rewrite_link(match: re.Match, address: str) -> str:
    """Makes a link of the README absolute; relative without an address."""
    picture, text, target = match.groups()
    own = re.match(r"https://[^ ]+?/(?:blob|raw)/HEAD/(.+)", target)
    if own and _COLAB not in target:
        target = own[1]
    if address and "://" not in target and not target.startswith("#"):
        kind = "raw" if picture else "blob"
        target = f"{address}/{kind}/HEAD/{target}"
    return f"{picture}[{text}]({target})"


if __name__ == "__main__":
    main()
