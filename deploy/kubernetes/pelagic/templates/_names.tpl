{{/* Names, labels and images. */}}

{{- define "pelagic.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What selects pods; never changes. Takes (root, service, part). */}}
{{- define "pelagic.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .part }}
pelagic.io/part: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of every object. Takes (root, component, part). */}}
{{- define "pelagic.labels" -}}
{{ include "pelagic.selector" . }}
app.kubernetes.io/version: {{ include "pelagic.tag" . | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The version of a component. */}}
{{- define "pelagic.tag" -}}
{{- $service := index .root.Values.services .component | default dict -}}
{{- dig "image" "tag" "" $service | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- end }}

{{/* A service's image. */}}
{{- define "pelagic.image" -}}
{{- $image := .root.Values.image -}}
{{ $image.registry }}/{{ $image.prefix }}{{ .component }}:{{ include "pelagic.tag" . -}}
{{- end }}

{{/* The values of one part of a service: its own over those of every service. Takes (root, component, part). */}}
{{- define "pelagic.part" -}}
{{- $own := index .root.Values.services .component .part | default dict -}}
{{- mergeOverwrite (deepCopy (index .root.Values .part)) $own | toYaml -}}
{{- end }}
