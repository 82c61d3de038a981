"""The metrics of all libraries and services as one table.

`python .ci/telemetry.py [--check]` writes docs/architecture/telemetry.md, or compares.

The lists are their `metrics.py`: what is not declared there can't be measured.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from crm_database.measuring import Measures

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture" / "telemetry.md"
HEAD = """# What is measured

Made by `python .ci/telemetry.py` from the `metrics.py` of each library and service; dashboards, alert rules and how to run them:
[deploy/observability](../../deploy/observability/README.md).

OpenTelemetry over OTLP, where an endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT`); otherwise nothing is kept and nothing is sent. Every
process adds `service.name` (`crm-sales`) and `service.instance.id`. Counters count since the process started. Gauges are read when they
are exported, from whoever still lives: nobody's last word stays. What stands in the database (outbox, dead letters, jobs, sagas,
webhooks) is read every 10 s by each worker of the service, whether it leads or not and whether the broker is there or not, so several
say the same: take the maximum, not the sum.

Traces: a request is a span in the gateway's trace, an event carries its `traceparent`, a reaction is a span of its own that continues it
([events.md](events.md)). Logs are JSON lines with the trace's id.
"""


def measures() -> Iterator[Measures]:
    """The lists of all libraries, then of all services, by name."""
    for file in (
        *sorted(ROOT.glob("libs/*/src/crm_*/metrics.py")),
        *sorted(ROOT.glob("services/*/src/crm_*/metrics.py")),
    ):
        yield importlib.import_module(f"{file.parent.name}.metrics").MEASURES


def page() -> str:
    """The document."""
    parts = [HEAD]
    for library in measures():
        parts.append(f"## {library.library}\n\n| name | kind | unit | labels | what |\n|---|---|---|---|---|\n")
        for metric in library.listed:
            labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
            unit = f"`{metric.unit}`" if metric.unit else "–"
            parts[-1] += f"| `{metric.name}` | {metric.kind} | {unit} | {labels} | {metric.meaning} |\n"
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write, or compare: 1 when the page is not current."""
    made = page()
    if "--check" not in arguments:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not current: run python .ci/telemetry.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
