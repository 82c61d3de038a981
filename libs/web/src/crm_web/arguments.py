"""A handler's arguments from a request: path, query, headers and body, each read and validated once.

FastAPI says what a signature asks for (and documents it); reading it is done here, because that costs a fraction: all
parameters in one pydantic call, the body from its bytes in another.
"""

import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import params
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from crm_kernel import FieldError, Invalid, Malformed
from crm_web.incoming import Incoming
from crm_web.problems import MediaTypeUnsupported
from crm_web.validation import body_errors, has_unreadable, parameter_errors, unreadable

_JSON_TYPE = re.compile(r"application/(json|[\w.+-]+\+json)\s*(;|$)", re.IGNORECASE)
_FORM_TYPE = re.compile(r"application/x-www-form-urlencoded\s*(;|$)", re.IGNORECASE)
_MAX_ERRORS = 50


class SignatureUnsupported(TypeError):
    """A programming error: a handler asks for what the route class doesn't give."""


class Parameters:
    """Path, query and header parameters of one handler."""

    def __init__(self, dependant: Dependant, name: str) -> None:
        self._places: dict[str, str] = {}
        self._lists: set[str] = set()
        self._groups: dict[str, set[str]] = {}
        self._headers: dict[str, bytes] = {}
        fields: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        for place, found in (
            ("path", dependant.path_params),
            ("query", dependant.query_params),
            ("header", dependant.header_params),
        ):
            for field in found:
                alias = field.validation_alias or field.alias
                if alias in self._places:
                    raise SignatureUnsupported(f"{name}: two parameters are called {alias}")
                self._places[alias] = place
                self._names[alias] = field.name
                annotation = field.field_info.annotation
                if place == "query" and isinstance(annotation, type) and issubclass(annotation, BaseModel):
                    self._places[alias] = "query*"
                    self._groups[alias] = {item.alias or key for key, item in annotation.model_fields.items()}
                    self._lists |= {
                        item.alias or key for key, item in annotation.model_fields.items() if _is_list(item.annotation)
                    }
                elif _is_list(annotation):
                    self._lists.add(alias)
                if place == "header":
                    self._headers[alias] = alias.lower().encode("latin-1")
                fields[field.name] = (annotation, field.field_info)
        grouped: set[str] = set().union(*self._groups.values()) if self._groups else set()
        self._known = grouped | {alias for alias, place in self._places.items() if place == "query"}
        self._model: type[BaseModel] | None = (
            create_model(f"{name}Parameters", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
            if fields
            else None
        )

    def read(self, path: Mapping[str, str], incoming: Incoming) -> dict[str, Any]:
        """Validated values by the handler's names. Raises Malformed, Invalid."""
        if self._model is None and not incoming.query:
            return {}
        query = self._query(incoming.query) if incoming.query else {}
        if self._model is None:
            return {}
        raw: dict[str, Any] = dict(path)
        if self._groups:
            for alias, names in self._groups.items():
                raw[alias] = {name: value for name, value in query.items() if name in names}
            raw.update({name: value for name, value in query.items() if self._places.get(name) == "query"})
        else:
            raw.update(query)
        for alias, header in self._headers.items():
            value = incoming.headers.get(header)
            if value is not None:
                raw[alias] = value.decode("latin-1")
        try:
            model = self._model.model_validate(raw)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise Invalid(errors=parameter_errors(found[:_MAX_ERRORS], self._places)) from None
        return model.__dict__

    def _query(self, raw: bytes) -> dict[str, Any]:
        try:
            pairs = urllib.parse.parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200
            )
        except UnicodeDecodeError:
            raise Malformed(
                "The query is not UTF-8", errors=[FieldError("query:", "field.unreadable", "not UTF-8")]
            ) from None
        except ValueError:
            raise Malformed("The query has too many parameters") from None
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        for name, value in pairs:
            if has_unreadable(value) or has_unreadable(name):
                shown = name.replace("\x00", "")
                raise Malformed(errors=[FieldError(f"query:{shown}", "field.unreadable", "NUL can't be stored")])
            if name not in self._known:
                errors.append(FieldError(f"query:{name}", "query.unknown", "There is no such parameter"))
            elif name in self._lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                errors.append(FieldError(f"query:{name}", "query.repeated", "The parameter stands more than once"))
            else:
                values[name] = value
        if errors:
            raise Invalid(errors=errors[:_MAX_ERRORS])
        return values


class Body:
    """The one body parameter of a handler: JSON, or a form."""

    def __init__(self, dependant: Dependant, name: str) -> None:
        self.parameter: str | None = None
        self.is_form = False
        if not dependant.body_params:
            return
        if len(dependant.body_params) > 1:
            names = ", ".join(field.name for field in dependant.body_params)
            raise SignatureUnsupported(
                f"{name}: {names} are all read from the body; one model is the body, lists in the query need Query()"
            )
        field = dependant.body_params[0]
        info = field.field_info
        if isinstance(info, params.File) or getattr(info, "embed", False):
            raise SignatureUnsupported(f"{name}: neither files nor embedded bodies; take the unit's request")
        self.is_form = isinstance(info, params.Form)
        self.parameter = field.name
        self._required = info.is_required()
        self._default = None if self._required else info.get_default(call_default_factory=True)
        annotation: Any = info.annotation
        for item in info.metadata:
            annotation = Annotated[annotation, item]
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def read(self, raw: bytes, content_type: str | None) -> Any:
        """The validated body. Raises Malformed, Invalid, MediaTypeUnsupported."""
        if not raw:
            if self._required:
                raise Invalid(errors=[FieldError("", "field.required", "A body is needed")])
            return self._default
        expected = _FORM_TYPE if self.is_form else _JSON_TYPE
        if content_type is None or not expected.match(content_type.strip()):
            wanted = "application/x-www-form-urlencoded" if self.is_form else "application/json"
            raise MediaTypeUnsupported(f"Send it as {wanted}", headers={"Accept": wanted})
        return self._form(raw) if self.is_form else self._json(raw)

    def _json(self, raw: bytes) -> Any:
        # Rare bytes that need a closer look; everything else is read and validated in one pass.
        if b"\\u0000" in raw or b"NaN" in raw or b"Infinity" in raw:
            _refuse_unstorable(raw)
        try:
            return self._adapter.validate_json(raw)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
        document = _document(raw)
        raise Invalid(errors=body_errors(found[:_MAX_ERRORS], document)) from None

    def _form(self, raw: bytes) -> Any:
        try:
            pairs = urllib.parse.parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200
            )
        except ValueError:
            raise Malformed("The form can't be read") from None
        values: dict[str, str] = {}
        for name, value in pairs:
            if has_unreadable(name) or has_unreadable(value):
                shown = name.replace("\x00", "")
                raise Malformed(errors=[FieldError(f"/{shown}", "field.unreadable", "NUL can't be stored")])
            if name in values:
                raise Invalid(errors=[FieldError(f"/{name}", "field.repeated", "The field stands more than once")])
            values[name] = value
        try:
            return self._adapter.validate_python(values)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise Invalid(errors=body_errors(found[:_MAX_ERRORS], values)) from None


def _document(raw: bytes) -> Any:
    """The body as Python values. Raises Malformed, which says where reading ended."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _refuse_unstorable(raw)
        raise Malformed(f"The body is not JSON: {error.msg}", extra={"position": error.pos}) from None


def _refuse_unstorable(raw: bytes) -> None:
    """Raise Malformed, with pointers, for NUL and lone surrogates anywhere in a JSON body; also for NaN and Infinity."""

    def refuse(constant: str) -> Any:
        raise Malformed(f"The body is not JSON: {constant} is no number")

    try:
        document = json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError):
        return  # Not JSON at all; the reader that follows says so.
    where = unreadable(document)
    if where:
        detail = "NUL and lone surrogates can't be stored"
        raise Malformed(
            "The body has characters that can't be stored",
            errors=[FieldError(_shown(at), "field.unreadable", detail) for at in where[:_MAX_ERRORS]],
        )


def _shown(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _is_list(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    if origin in (list, tuple, set, frozenset):
        return True
    return any(_is_list(part) for part in getattr(annotation, "__args__", ()) if part is not type(None))
