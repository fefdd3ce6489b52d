"""The explorer over HTTP. Every answer is JSON, a small JPEG, an export, or a file of the page itself."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from contracts.errors import MissingInput, UserError
from curation.explore import answers
from curation.explore.access import Access, Guard
from curation.explore.asked import (
    MOST_ANSWERS,
    MOST_POINTS,
    PICTURE_BYTES,
    DecisionAsked,
    ExportAsked,
    TakeBackAsked,
    WordsAsked,
)
from curation.explore.browse import Filter
from curation.explore.explorer import Explorer
from curation.explore.export import FORMATS, export_rows
from curation.explore.keys import rows_with_prefix
from curation.select.overrides import Override

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
Answer = dict[str, Any]


def make_app(explorer: Explorer, access: Access) -> FastAPI:
    """The application. No pages of FastAPI's own: they fetch from elsewhere."""
    app = FastAPI(title="Winnow explorer", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, access=access)
    app.add_exception_handler(UserError, _told)
    _add_page(app)
    _add_looking(app, explorer)
    _add_searching(app, explorer)
    _add_changing(app, explorer)
    return app


def _told(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=404 if isinstance(error, MissingInput) else 400)


def _add_page(app: FastAPI) -> None:
    """The files of the page, all in memory: what is not among them is not there."""
    folder = files("curation.explore") / "web"
    page = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}

    @app.get("/")
    def index() -> Response:
        return Response(page["index.html"], media_type=_TYPES["html"])

    @app.get("/web/{name}")
    def web(name: str) -> Response:
        if name not in page:
            raise MissingInput(f"the page has no file {name!r}")
        return Response(page[name], media_type=_TYPES[name.rpartition(".")[2]])


def _add_looking(app: FastAPI, explorer: Explorer) -> None:
    @app.get("/api/overview")
    def overview() -> Answer:
        return answers.overview(explorer)

    @app.get("/api/images")
    def images(
        decision: str = "",
        why: str = "",
        source: str = "",
        cluster: str = "",
        by_hand: bool = False,
        first: int = Query(0, ge=0),
        count: int = Query(60, ge=1, le=MOST_ANSWERS),
    ) -> Answer:
        rows = explorer.shown(Filter(decision, why, source, cluster, by_hand))
        return {"total": len(rows), "images": answers.images(explorer, rows[first : first + count])}

    @app.get("/api/image/{key}")
    def image(key: str) -> Answer:
        return answers.image(explorer, key)

    @app.get("/api/groups")
    def groups(by: str = "size", first: int = Query(0, ge=0), count: int = Query(12, ge=1, le=100)) -> Answer:
        return answers.groups_page(explorer, by, first, count)

    @app.get("/api/map")
    def points(model: str = "", method: str = "pca", most: int = Query(20_000, ge=1, le=MOST_POINTS)) -> Answer:
        return answers.map_points(explorer, model, method, most)

    @app.get("/picture/{key}")
    def picture(key: str, side: int = Query(256, ge=1, le=4096)) -> Response:
        return Response(
            explorer.pictures.thumbnail(key, side),
            media_type="image/jpeg",
            headers={"Cache-Control": "private, max-age=3600"},
        )


def _add_searching(app: FastAPI, explorer: Explorer) -> None:
    def found(rows: Any, cosines: Any) -> Answer:
        return {"images": answers.images(explorer, rows, cosines.tolist())}

    @app.get("/api/neighbours/{key}")
    def neighbours(key: str, model: str = "", count: int = Query(24, ge=1, le=MOST_ANSWERS)) -> Answer:
        return found(*explorer.neighbours(key, model, count))

    @app.get("/api/key/{beginning}")
    def by_key(beginning: str) -> Answer:
        rows = rows_with_prefix(beginning.lower(), explorer.catalogued.keys)
        return {"total": len(rows), "images": answers.images(explorer, rows[:MOST_ANSWERS])}

    @app.post("/api/search/words")
    def by_words(asked: WordsAsked) -> Answer:
        return found(*explorer.like_words(asked.words, asked.model, asked.count))

    @app.post("/api/search/picture")
    async def by_picture(request: Request, model: str = "", count: int = Query(60, ge=1, le=MOST_ANSWERS)) -> Answer:
        data = bytearray()
        async for block in request.stream():
            data += block
            if len(data) > PICTURE_BYTES:
                raise UserError(f"this file is larger than {PICTURE_BYTES >> 20} MiB: drop a smaller picture")
        return found(*await run_in_threadpool(explorer.like_picture, bytes(data), model, count))


def _add_changing(app: FastAPI, explorer: Explorer) -> None:
    @app.get("/api/overrides")
    def said() -> Answer:
        return answers.said_by_hand(explorer)

    @app.post("/api/overrides")
    def decide(asked: DecisionAsked) -> Answer:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        keys = [key.lower() for key in asked.keys if key != asked.into]
        explorer.override([Override(key, asked.action, at, asked.note.strip(), asked.into) for key in keys])
        return answers.overview(explorer)

    @app.post("/api/overrides/remove")
    def take_back(asked: TakeBackAsked) -> Answer:
        explorer.take_back([key.lower() for key in asked.keys], asked.actions)
        return answers.overview(explorer)

    @app.post("/api/export")
    def export(asked: ExportAsked) -> Response:
        rows = (
            np.array(sorted({explorer.row(key) for key in asked.keys}), np.int64)
            if asked.keys
            else explorer.shown(asked.filter.plain())
        )
        data = export_rows(rows, explorer.catalogued, explorer.decided, asked.form)
        name = f"attachment; filename=winnow-{len(rows)}-images.{asked.form}"
        return Response(data, media_type=FORMATS[asked.form], headers={"Content-Disposition": name})
