"""What a request asks: numbers and flags of its query, the object of its body, and who it comes from."""

import json
from typing import Any
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from wordsight.runtime.web.guard import MOST_BYTES, read_body

_NAME, _NAME_BYTES = 40, 400  # of who asks, and as it comes, in percent signs


def number(request: Request, name: str, default: int, most: int) -> int:
    """Return the whole number of a query, at most `most`.

    Raises:
        HTTPException: 400, it is none.
    """
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise HTTPException(400, f"{name}: expected a whole number of 0 or more")
    return min(int(text), most)


def flag(request: Request, name: str) -> bool:
    """Return whether a query says 1."""
    return request.query_params.get(name) == "1"


async def asked_of(request: Request, **keys: tuple[type, ...]) -> dict[str, Any]:
    """Return the JSON object of a request, which has these keys and no others."""
    body = await read_body(request.receive)
    if body is None:
        raise HTTPException(413, f"expected at most {MOST_BYTES} bytes")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "expected JSON") from error
    if not isinstance(data, dict) or set(data) != set(keys):
        raise HTTPException(400, f"expected an object with {', '.join(keys)}")
    for key, types in keys.items():
        if not isinstance(data[key], types) or (isinstance(data[key], bool) and bool not in types):
            raise HTTPException(400, f"{key}: expected another type")
        if float in types and data[key] is not None:
            try:
                data[key] = float(data[key])
            except OverflowError as error:
                raise HTTPException(400, f"{key}: expected a smaller number") from error
    return {key: data[key] for key in keys}


def who(request: Request) -> str:
    """Return who asks: the name that they give, if any, and the address that they come from."""
    host = request.client.host if request.client is not None else "unknown"
    name = unquote(request.headers.get("x-name", "")[:_NAME_BYTES], errors="replace")
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return f"{name[:_NAME]} ({host})" if name else host
