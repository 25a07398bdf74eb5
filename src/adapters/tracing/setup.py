"""Whether there are traces, and where they go: what the standard variables of OpenTelemetry say (``OTEL_*``).

The libraries are an extra. Nothing of them is imported, and nothing costs anything, unless traces are asked for.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from adapters.tracing.spans import Tracing

SERVICE_NAME: Final = "wallet-service"

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP: Final = "http/protobuf"

logger = logging.getLogger("wallet.traces")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the variables ask for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter:
        return exporter == "otlp"
    return any(environ.get(name) for name in ENDPOINTS)


def tracing_of(environ: Mapping[str, str], version: str) -> "Tracing | None":
    """The traces of this process; None where nobody asked for any. That they cannot be had is no reason to stop."""
    if not is_wanted(environ):
        return None
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), HTTP)
    if protocol != HTTP:
        logger.warning("there are no traces: %s is not spoken, %s is", protocol, HTTP)
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from adapters.tracing.spans import Tracing
    except ImportError as missing:
        logger.warning("there are no traces: %s; install the extra otel", missing)
        return None
    # What the environment says of the resource goes before what is said here.
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({"service.version": version} | ({} if named else {"service.name": SERVICE_NAME}))
    # Sampler, limits, endpoint, headers and timeouts are the library's to read. It sends from a thread of its own.
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
