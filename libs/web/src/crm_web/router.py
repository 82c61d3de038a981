"""How a slice declares its operations: `Router("customers")`, then `@router.get(…)`, `@router.post(…)` and so on."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute

from crm_kernel.errors import Refusal
from crm_web.limits import DEFAULT_LIMITS, Limits
from crm_web.openapi import documented
from crm_web.route import Access, Declared, Handler, ServiceRoute

H = TypeVar("H", bound=Handler)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Router:
    """The operations of one slice.

    service: its name; paths are below `/api/<service>/v1` (or `prefix`, for addresses that a standard gives: `/oauth`).
    tag: how the documents group the operations; the service's name unless given. module: the module that a token must open
    (claim `mod`), None asks for none. scoped: whether tokens must carry data-scope claims for the service; both can be said per
    operation.
    """

    def __init__(
        self,
        service: str,
        *,
        prefix: str | None = None,
        tag: str | None = None,
        module: str | None = None,
        scoped: bool = False,
    ) -> None:
        self.service = service
        self.prefix = f"/api/{service}/v1" if prefix is None else prefix
        self._tag = tag or service
        self._module = module
        self._scoped = scoped
        self._routes = APIRouter(prefix=self.prefix, tags=[self._tag])

    @property
    def routes(self) -> list[ServiceRoute]:
        """The operations, in the order declared."""
        return [route for route in self._routes.routes if isinstance(route, ServiceRoute)]

    def get(self, path: str, **declared: Any) -> Callable[[H], H]:
        """Declare a GET operation; see `operation` for the keywords."""
        return self.operation("GET", path, **declared)

    def post(self, path: str, **declared: Any) -> Callable[[H], H]:
        """Declare a POST operation; see `operation` for the keywords."""
        return self.operation("POST", path, **declared)

    def put(self, path: str, **declared: Any) -> Callable[[H], H]:
        """Declare a PUT operation; see `operation` for the keywords."""
        return self.operation("PUT", path, **declared)

    def patch(self, path: str, **declared: Any) -> Callable[[H], H]:
        """Declare a PATCH operation; see `operation` for the keywords."""
        return self.operation("PATCH", path, **declared)

    def delete(self, path: str, **declared: Any) -> Callable[[H], H]:
        """Declare a DELETE operation; see `operation` for the keywords."""
        return self.operation("DELETE", path, **declared)

    def operation(
        self,
        method: Method,
        path: str,
        *,
        permission: str | None = None,
        access: Literal["authenticated", "public"] | None = None,
        summary: str | None = None,
        operation_id: str | None = None,
        status: int = 200,
        response: Any = None,
        also: Mapping[int, Any] | None = None,
        example: Any = None,
        errors: Sequence[type[Refusal]] = (),
        limits: Limits = DEFAULT_LIMITS,
        reads: bool = False,
        snapshot: bool = False,
        stream: bool = False,
        scoped: bool | None = None,
        module: str | None = None,
        deprecated: bool = False,
        include_in_schema: bool = True,
        route_class: type[ServiceRoute] = ServiceRoute,
    ) -> Callable[[H], H]:
        """Declare an operation; exactly one of `permission` and `access` says who may call it.

        summary: one line for the documents; the handler's name in words unless given. operation_id: the handler's name unless
        given; unique in the service. status: of success. response: the answer's model where the handler's annotation can't say it
        (it returns a Json). also: other statuses of success with their models (202 with a job). example: an answer. errors: the
        refusals of its own that it raises. limits: see Limits. reads: a POST that changes nothing. snapshot: a read whose statements
        all see one moment. stream: the answer is open-ended (GET). route_class: answers in another form (OAuth's refusals).
        Raises TypeError for a declaration that contradicts itself.
        """
        if (permission is None) == (access is None):
            raise TypeError(f"{method} {path}: say either permission=… or access=…")
        kind: Access = access or "permission"
        declared = Declared(
            service=self.service,
            access=kind,
            permission=permission,
            module=None if kind == "public" else (module or self._module),
            scoped=kind == "permission" and (self._scoped if scoped is None else scoped),
            reads=reads,
            snapshot=snapshot,
            stream=stream,
            limits=limits,
            errors=tuple(errors),
            example=example,
        )

        def declare(handler: H) -> H:
            name = operation_id or handler.__name__
            options = documented(declared, handler, method=method, response=response, status=status, also=also)
            self._routes.add_api_route(
                path,
                handler,
                methods=[method],
                operation_id=name,
                name=name,
                summary=summary or name.replace("_", " ").capitalize(),
                status_code=status,
                deprecated=deprecated or None,
                include_in_schema=include_in_schema,
                route_class_override=_route_class(route_class, declared),
                **options,
            )
            return handler

        return declare


def _route_class(route_class: type[ServiceRoute], declared: Declared) -> type[APIRoute]:
    # FastAPI makes the route from a class; what is ours reaches it this way.
    return partial(route_class, declared=declared)  # type: ignore[return-value]
