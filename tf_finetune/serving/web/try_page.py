"""Page to try the model: one file that loads nothing from elsewhere."""

import base64
import hashlib
import html
import json
import pathlib
import re
from collections.abc import Mapping, Sequence

from starlette import responses

_FILE = pathlib.Path(__file__).parent / "assets" / "page.html"
# Placeholders of page.html; their values are escaped for HTML.
_PLACEHOLDERS = re.compile("MODEL_NAME|MODEL_COLUMNS")


def render_page(
    model_name: str, columns: Mapping[str, Sequence[str]] | None = None
) -> responses.Response:
    """Renders the page for a model.

    Its Content-Security-Policy allows only the page's own script and style, by
    their hashes, pictures that the page itself made, and requests to its own
    origin.

    Args:
        model_name: The model's name in requests.
        columns: Of a model that takes rows of a table, by input the names of
            its columns; empty or None: it takes single pictures.
    """
    filled = {
        "MODEL_NAME": html.escape(model_name),
        "MODEL_COLUMNS": html.escape(json.dumps(columns or {})),
    }
    text = _PLACEHOLDERS.sub(
        lambda found: filled[found[0]], _FILE.read_text(encoding="utf-8")
    )
    # The hashes are of the text that is sent, after the names were filled in.
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash_element(text, 'script')}",
            f"style-src {_hash_element(text, 'style')}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    return responses.Response(
        text,
        headers={
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
        },
        media_type="text/html",
    )


def _hash_element(text: str, tag: str) -> str:
    content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
