"""The pages of the documentation site, `build/pages`: the documents of the tree, with README as the index."""

from __future__ import annotations

import shutil
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PAGES = TOP / "build" / "pages"
PATTERNS = ("*.md", "LICENSE", "docs/*.md", "docs/*.svg", "benchmarks/README.md", "benchmarks/*.svg", "examples/*")
INDEX = "README.md"


def main() -> None:
    """Copy the documents, so that their links among each other stay as they are."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for pattern in PATTERNS:
        for path in sorted(TOP.glob(pattern)):
            name = path.relative_to(TOP)
            target = PAGES / ("index.md" if str(name) == INDEX else name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                text = path.read_text(encoding="utf-8").replace(f"](../{INDEX}", "](../index.md")
                if name.parent == Path():
                    text = text.replace(f"]({INDEX}", "](index.md")
                target.write_text(text, encoding="utf-8")
            elif path.is_file():
                shutil.copy(path, target)


if __name__ == "__main__":
    main()
