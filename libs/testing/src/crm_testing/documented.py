"""Whether a service's documents say what it answers: an operation's refusals are named in its OpenAPI, code by code."""

from functools import cached_property
from typing import Any

import httpx

from crm_kernel.errors import Refusal
from crm_web import Service
from crm_web.dispatch import Dispatch
from crm_web.openapi import service_document
from crm_web.problems import MEDIA_TYPE

#: Paths of a document, by the identity of its routes, which are kept so that no other route gets it. Making one takes a second.
_made: dict[tuple[int, ...], tuple[list[Any], dict[str, Any]]] = {}


class Documented:
    """A service's documents, to hold answers against."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._dispatch = Dispatch(service.routes)

    @cached_property
    def _paths(self) -> dict[str, Any]:
        routes = list(self._service.routes)
        known = _made.setdefault(tuple(map(id, routes)), (routes, {}))[1]
        if not known:
            known.update(service_document(self._service)["paths"])
        return known

    def check(self, answer: httpx.Response) -> None:
        """AssertionError for a problem whose code the documents don't name for its operation and status.

        Other answers are not looked at, nor those at addresses where no operation is.
        """
        if answer.headers.get("content-type") != MEDIA_TYPE:
            return
        method, path = answer.request.method, answer.request.url.raw_path.partition(b"?")[0].decode()
        try:
            route, _ = self._dispatch.find(method, path)
        except Refusal:
            return
        if not route.include_in_schema:
            return
        responses = self._paths[route.path][method.lower()]["responses"]
        named = responses.get(str(answer.status_code), {}).get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
        if answer.json()["code"] not in named:
            raise AssertionError(f"{method} {route.path}: the documents don't name this: {answer.text}")
