"""Documents made from the registry: JSON Schemas, topic files and the AsyncAPI 3 document. Nothing in them is written by hand."""

from typing import Any

from crm_contracts.registry import Registry, Topic, registry

ENVELOPE_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "The event's id, the same whenever it is sent again.",
        },
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "examples": ["/crm/customers"]},
        "ce_subject": {"type": "string", "format": "uuid", "description": "The record's id; also the Kafka key."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was recorded."},
        "ce_partitionkey": {"type": "string"},
        "ce_sequence": {
            "type": "string",
            "description": "Publication number: dense per topic and partition of one stream.",
        },
        "ce_stream": {"type": "string", "description": "Which numbering the publication number belongs to."},
        "ce_tombstone": {
            "const": "true",
            "description": "The number is taken by an event that could never be sent; there is no data.",
        },
        "ce_writeid": {"type": "string", "format": "uuid", "description": "The transaction that recorded it."},
        "traceparent": {"type": "string", "description": "W3C trace context of the request."},
    },
}


#: What AsyncAPI says of a record's key.
RECORD_KEY: dict[str, Any] = {
    "type": "string",
    "format": "uuid",
    "description": "The record's id, as `ce_subject`; order holds per key.",
}


def schema(type_name: str, known: Registry = registry) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one event type's data. KeyError when it isn't registered."""
    model = known.events[type_name]
    document = model.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["$id"] = f"urn:pelagic:event:{type_name}"
    document["title"] = type_name
    document["description"] = (model.__doc__ or "").strip()
    return document


def topic_file(topic: Topic, known: Registry = registry) -> dict[str, Any]:
    """What a subscriber or operator needs to know of one topic, with an example of every event on it."""
    return {
        "topic": topic.name,
        "description": topic.description,
        "producer": topic.producer,
        "consumers": list(topic.consumers),
        "key": topic.key,
        "partitions": topic.partitions,
        "retention_days": topic.retention_days,
        "cleanup_policy": "delete",
        "numbered": topic.numbered,
        "events": {
            name: known.examples[name] for name, model in sorted(known.events.items()) if model.topic == topic.name
        },
    }


def asyncapi(known: Registry = registry, *, version: str, server: str | None = None) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics. server: `host:port` of the bus, when it may be told."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name, model in sorted(known.events.items()):
        document = schema(name, known)
        parts = document.pop("$defs", {})
        if any(key in schemas and schemas[key] != _moved(part) for key, part in parts.items()):
            raise ValueError(f"{name}: a part has the name of another event's part, but not its shape")
        schemas |= {key: _moved(part) for key, part in parts.items()}
        document.pop("$schema")
        schemas[name] = _moved(document)
        messages[name] = {
            "name": name,
            "title": name.split(".")[-2].replace("-", " "),
            "summary": (model.__doc__ or "").strip(),
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/envelope"},
            "payload": {"$ref": f"#/components/schemas/{_escape(name)}"},
            "examples": [{"name": "example", "payload": known.examples[name]}],
            "bindings": {"kafka": {"key": RECORD_KEY}},
            "x-recorded": model.emitted,
            "x-newest-version": known.newest(name),
        }
    schemas["envelope"] = ENVELOPE_HEADERS
    for topic in sorted(known.topics.values(), key=lambda t: t.name):
        if not topic.numbered:
            continue
        own = [name for name, model in sorted(known.events.items()) if model.topic == topic.name]
        channels[topic.name] = {
            "address": topic.name,
            "description": topic.description,
            "x-key": topic.key,
            "x-producer": topic.producer,
            "messages": {name: {"$ref": f"#/components/messages/{_escape(name)}"} for name in own},
            "bindings": {
                "kafka": {
                    "partitions": topic.partitions,
                    "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms},
                }
            },
        }
        operations[f"receive.{topic.name}"] = {
            "action": "receive",
            "summary": f"{topic.description} Written by {topic.producer} alone; order holds per record.",
            "channel": {"$ref": f"#/channels/{_escape(topic.name)}"},
        }
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pelagic events",
            "version": version,
            "description": "CloudEvents 1.0 in Kafka's binary mode: attributes in `ce_*` headers, the data below as JSON in the value.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }
    if server:
        document["servers"] = {"bus": {"host": server, "protocol": "kafka"}}
    return document


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _moved(part: Any) -> Any:
    """References into an event's own definitions, moved to the document's components."""
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/", 1)
            if key == "$ref" and isinstance(value, str)
            else _moved(value)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_moved(value) for value in part]
    return part
