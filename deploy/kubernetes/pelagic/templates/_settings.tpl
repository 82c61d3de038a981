{{/* A service's settings but for those of the bus. Takes (root, component). */}}
{{- define "pelagic.settings" -}}
{{- $values := .root.Values -}}
{{- $given := dict
  "CRM_SERVICE" .component
  "CRM_DATABASE_URL_FILE" "/run/secrets/pelagic/database-url"
  "CRM_SIGNING_KEY_FILE" "/run/secrets/pelagic/signing-key"
  "CRM_HTTP_HOST" "0.0.0.0"
  "CRM_HTTP_PORT" "8000"
  "CRM_PUBLIC_URL" $values.publicUrl
  "CRM_SERVICES" (keys $values.services | sortAlpha | join ",")
  "CRM_TIME_ZONE" $values.timeZone
-}}
{{- if eq .component "identity" -}}
{{- $_ := set $given "CRM_KEY_SECRET_FILE" "/run/secrets/pelagic/key-secret" -}}
{{- $_ := set $given "CRM_DOCUMENTS_DIR" "/app/documents" -}}
{{- end -}}
{{- with $values.archive -}}
{{- if .url -}}
{{- $_ := set $given "CRM_ARCHIVE_URL" .url -}}
{{- $_ := set $given "CRM_JOURNAL_KEEP_MONTHS" (toString .keepMonths) -}}
{{- else if .keepMonths }}{{ fail "archive.url: say where months older than archive.keepMonths go" }}{{ end -}}
{{- end -}}
{{- with $values.telemetry -}}
{{- if .host }}{{ $_ := set $given "OTEL_EXPORTER_OTLP_ENDPOINT" (printf "http://%s:%v" .host .port) }}{{ end -}}
{{- end -}}
{{- range $more := list $values.settings (index $values.services .component).settings -}}
{{- range $name, $value := $more }}{{ $_ := set $given $name (toString $value) }}{{ end -}}
{{- end -}}
{{- range $name, $value := $given }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* The brokers' ports, as a JSON list: those told, else those in kafka.bootstrap. Takes the root. */}}
{{- define "pelagic.kafkaPorts" -}}
{{- $ports := .Values.kafka.ports -}}
{{- if not $ports -}}
{{- range splitList "," .Values.kafka.bootstrap }}{{ $ports = append $ports (regexFind "[0-9]+$" . | int) }}{{ end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end }}
