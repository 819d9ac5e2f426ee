"""A hook of mkdocs.yml: pages as GitHub shows them, for a static site."""

from __future__ import annotations

import posixpath
import re
from typing import Any

FENCE = re.compile(r"^( *```sh) \w+$", re.MULTILINE)  # the mark says which commands tests run
FORMULA = re.compile(r"\$`([^`]+)`\$")  # GitHub's mark of a formula in a line
SOURCE = re.compile(r"\]\(([\w./-]+\.py)\)")  # sources are not part of the site


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    def in_repository(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), match[1]))
        return f"]({config.repo_url}blob/main/{path})"

    return SOURCE.sub(in_repository, FORMULA.sub(r"$\1$", FENCE.sub(r"\1", markdown)))
