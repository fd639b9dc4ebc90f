"""The routes of the page, all below the one folder that it is served from: every address in it is relative."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from importlib import resources
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wordsight.runtime.errors import OutputError, WordsightError
from wordsight.runtime.web.asked import asked_of, flag, number, who
from wordsight.runtime.web.record import Live, Record, point_data
from wordsight.runtime.web.trial import tried

MOST_POINTS: Final = 2000
"""Scores in one answer at most."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Desk(Protocol):
    """What the page can have done, each with one line for the log; errors are WordsightError or OSError."""

    def recipes(self) -> dict[str, Any]:
        """Return the recipes that there are, and which one is selected."""
        ...

    def select(self, recipe: str | None, line: str | None, who: str) -> dict[str, Any]:
        """Select a recipe for a line, or for all."""
        ...

    def apply(
        self, line: str, recipe: str | None, unsure: float | None, defect: float, who: str
    ) -> dict[str, float | None]:
        """Apply thresholds to a line under a recipe."""
        ...

    def undo(self, line: str, recipe: str | None, who: str) -> dict[str, float | None]:
        """Go back to the thresholds of the file."""
        ...

    def marks(self) -> dict[str, str]:
        """Return the mark of each event that has one."""
        ...

    def mark(self, event: dict[str, Any], mark: str | None, who: str) -> None:
        """Mark an event as decided right, or as a false alarm; None takes the mark away."""
        ...


class Status:
    """The last status, as JSON, made once for all who ask."""

    def __init__(self) -> None:
        """Begin without one."""
        self._lock = threading.Lock()
        self._data: dict[str, Any] = {}
        self._encoded = b"{}"

    def take(self, status: dict[str, Any]) -> None:
        """Take a status."""
        encoded = json.dumps(status, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
        with self._lock:
            self._data, self._encoded = status, encoded

    @property
    def encoded(self) -> bytes:
        """The last one as JSON."""
        return self._encoded


def _json(data: Any, status: int = 200) -> Response:
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="application/json")


class Routes:
    """What each route does."""

    def __init__(self, record: Record, status: Status, desk: Desk) -> None:
        """Keep what they answer from."""
        self._record, self._status, self._desk = record, status, desk
        self._making: dict[tuple[str, bool], asyncio.Future[Live | None]] = {}
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for file in (resources.files(__package__) / "static").iterdir():
            kind = _TYPES.get("." + file.name.rpartition(".")[2])
            if kind is not None:
                data = file.read_bytes()
                self._files[file.name] = data, kind, f'"{hashlib.sha256(data).hexdigest()[:16]}"'

    async def file(self, request: Request) -> Response:
        """A file of the page itself: one of those that were read at the start, never one of the disk."""
        found = self._files.get(request.path_params.get("name", "index.html"))
        if found is None:
            raise HTTPException(404)
        data, kind, tag = found
        headers = {"etag": tag, "cache-control": "no-cache", "content-type": kind}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers)

    async def status(self, request: Request) -> Response:
        """The status, as in the status file."""
        return Response(self._status.encoded, media_type="application/json")

    async def lines(self, request: Request) -> Response:
        """What is kept of each line."""
        return _json(self._record.lines())

    async def scores(self, request: Request) -> Response:
        """Scores of a line behind the number `after`, at most `most`."""
        after, most = number(request, "after", 0, 2**53), number(request, "most", 600, MOST_POINTS)
        points = self._record.scores(request.path_params["line"], after, most)
        if points is None:
            raise HTTPException(404)
        return _json({"points": [point_data(point) for point in points]})

    async def picture(self, request: Request) -> Response:
        """The newest frame of a line as JPEG, with `heat=1` under its heat map; 304 where it is `seen` already."""
        name, heat, seen = request.path_params["line"], flag(request, "heat"), number(request, "seen", 0, 2**53)
        made = self._record.ready(name, heat) or await self._made(name, heat)
        if made is None:
            raise HTTPException(404)
        # With it goes what was decided over this very frame: a picture under another's decision would mislead.
        headers = {
            "x-frame": str(made.number),
            "x-score": f"{made.score:.4f}",
            "x-decision": made.decision or "undecided",
        }
        if made.number == seen:
            return Response(status_code=304, headers=headers)
        return Response(made.data, media_type="image/jpeg", headers=headers)

    async def _made(self, name: str, heat: bool) -> Live | None:
        """Have a picture made, once for all who ask meanwhile: one thread wakes, and not one for each of them."""
        making = self._making.get((name, heat))
        if making is None:
            making = self._making[name, heat] = asyncio.ensure_future(run_in_threadpool(self._record.live, name, heat))
            making.add_done_callback(lambda _: self._making.pop((name, heat)))
        return await asyncio.shield(making)  # one who goes away does not end it for the others

    async def events(self, request: Request) -> Response:
        """The last events that were not good, behind the number `after`, and every mark."""
        marks = self._desk.marks()
        found = [
            {**kept.data, "number": kept.number, "pictures": len(kept.pictures)}
            for kept in self._record.events(number(request, "after", 0, 2**53))
        ]
        kept = {kept.data["event_id"] for kept in self._record.events()}
        return _json({"events": found, "marks": {id_: marks[id_] for id_ in kept & marks.keys()}})

    async def event_picture(self, request: Request) -> Response:
        """The picture of an event, with `heat=1` under its heat map."""
        kept = self._record.event(request.path_params["id"])
        place = 1 if flag(request, "heat") else 0
        if kept is None or not kept.pictures:
            raise HTTPException(404)
        return Response(kept.pictures[min(place, len(kept.pictures) - 1)], media_type="image/jpeg")

    async def recipes(self, request: Request) -> Response:
        """The recipes of the file, and which is selected."""
        return _json(await self._done(self._desk.recipes))

    async def select(self, request: Request) -> Response:
        """Select a recipe: {"recipe": name or null, "line": name or null}."""
        asked = await asked_of(request, recipe=(str, type(None)), line=(str, type(None)))
        return _json(await self._done(self._desk.select, asked["recipe"], asked["line"], who(request)))

    async def mark(self, request: Request) -> Response:
        """Mark an event: {"event_id": id, "mark": "right", "false alarm" or null}."""
        asked = await asked_of(request, event_id=(str,), mark=(str, type(None)))
        if asked["mark"] not in ("right", "false alarm", None):
            raise HTTPException(400, 'mark: expected "right", "false alarm" or null')
        kept = self._record.event(asked["event_id"])
        if kept is None:
            raise HTTPException(404, "no such event is kept")
        await self._done(self._desk.mark, kept.told, asked["mark"], who(request))
        return _json({"event_id": asked["event_id"], "mark": asked["mark"]})

    async def trial(self, request: Request) -> Response:
        """Say what thresholds would have changed: {"line": name, "unsure": number or null, "defect": number}."""
        asked = await asked_of(request, line=(str,), unsure=(int, float, type(None)), defect=(int, float))
        points = self._record.scores(asked["line"])
        if points is None:
            raise HTTPException(404)
        return _json(await self._done(tried, points, asked["unsure"], asked["defect"]))

    async def apply(self, request: Request) -> Response:
        """Apply thresholds: as for a trial, and "recipe", the one that is in force, or null."""
        asked = await asked_of(
            request, line=(str,), recipe=(str, type(None)), unsure=(int, float, type(None)), defect=(int, float)
        )
        return _json(await self._done(self._desk.apply, *asked.values(), who(request)))

    async def undo(self, request: Request) -> Response:
        """Go back to the thresholds of the file: {"line": name, "recipe": the one that is in force, or null}."""
        asked = await asked_of(request, line=(str,), recipe=(str, type(None)))
        return _json(await self._done(self._desk.undo, *asked.values(), who(request)))

    async def _done(self, work: Callable[..., Any], *given: Any) -> Any:
        try:
            return await run_in_threadpool(work, *given)
        except OutputError as error:
            raise HTTPException(503, str(error).splitlines()[0]) from error
        except WordsightError as error:
            raise HTTPException(400, str(error).splitlines()[0]) from error
        except OSError as error:
            raise HTTPException(503, f"it cannot be kept: {(error.strerror or 'the disk fails').lower()}") from error


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


def app(record: Record, status: Status, desk: Desk) -> Starlette:
    """Return the application, unguarded."""
    routes = Routes(record, status, desk)
    made = Starlette(
        routes=[
            Route("/", routes.file),
            Route("/static/{name}", routes.file),
            Route("/api/status", routes.status),
            Route("/api/lines", routes.lines),
            Route("/api/lines/{line}/scores", routes.scores),
            Route("/api/lines/{line}/picture", routes.picture),
            Route("/api/events", routes.events),
            Route("/api/events/{id}/picture", routes.event_picture),
            Route("/api/recipes", routes.recipes),
            Route("/api/recipe", routes.select, methods=["POST"]),
            Route("/api/mark", routes.mark, methods=["POST"]),
            Route("/api/trial", routes.trial, methods=["POST"]),
            Route("/api/thresholds", routes.apply, methods=["POST"]),
            Route("/api/thresholds/undo", routes.undo, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refused},
    )
    made.router.redirect_slashes = False
    return made
