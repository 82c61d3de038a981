{{/* What the pods of our services have in common. Each takes (root, component, part). */}}

{{- define "pelagic.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .root.Values.pods.userId }}
runAsGroup: {{ .root.Values.pods.userId }}
fsGroup: {{ .root.Values.pods.userId }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "pelagic.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods go: replicas apart, over machines and zones, as far as there are any. */}}
{{- define "pelagic.placing" -}}
{{- with .root.Values.pods.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pods.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "pelagic.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* The secrets of a service, as files in /run/secrets/pelagic; those of the bus for its worker alone. */}}
{{- define "pelagic.secrets" -}}
{{- $secrets := .root.Values.secrets -}}
{{- $database := (index .root.Values.services .component).database.secret -}}
- secret:
    name: {{ $database.name }}
    items: [{key: {{ $database.key }}, path: database-url}]
- secret:
    name: {{ $secrets.signingKey.name }}
    items: [{key: {{ $secrets.signingKey.key }}, path: signing-key}]
{{- if eq .component "identity" }}
- secret:
    name: {{ $secrets.identityKey.name }}
    items: [{key: {{ $secrets.identityKey.key }}, path: key-secret}]
{{- end }}
{{- if eq .part "worker" }}
{{- if hasPrefix "sasl" .root.Values.kafka.security }}
{{- $user := (index .root.Values.services .component).kafka.secret }}
- secret:
    name: {{ $user.name }}
    items: [{key: {{ $user.key }}, path: kafka-password}]
{{- end }}
{{- with .root.Values.kafka.ca }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{key: {{ .key }}, path: kafka-ca}]
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pelagic.mounts" -}}
- {name: secrets, mountPath: /run/secrets/pelagic, readOnly: true}
- {name: scratch, mountPath: /tmp}
{{- if .root.Values.pods.certificates }}
- {name: certificates, mountPath: /etc/pelagic/certificates, readOnly: true}
{{- end }}
{{- end }}

{{/* Volumes; `sources` are those of the secrets. */}}
{{- define "pelagic.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources: {{ .sources | nindent 6 }}
- name: scratch
  emptyDir: {sizeLimit: 512Mi}
{{- with .root.Values.pods.certificates }}
- name: certificates
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "pelagic.pull" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The secrets of the job that prepares a database: that database's, and a superuser's where one is named. */}}
{{- define "pelagic.prepareSecrets" -}}
{{- $database := (index .root.Values.services .component).database.secret -}}
- secret:
    name: {{ $database.name }}
    items: [{key: {{ $database.key }}, path: database-url}]
{{- with .root.Values.database.superuser }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{key: {{ .key }}, path: superuser-url}]
{{- end }}
{{- end }}
{{- end }}

{{/* The secrets of the first start. */}}
{{- define "pelagic.firstStartSecrets" -}}
{{- $database := .root.Values.services.identity.database.secret -}}
{{- $password := .root.Values.firstStart.adminPassword -}}
- secret:
    name: {{ $database.name }}
    items: [{key: {{ $database.key }}, path: database-url}]
- secret:
    name: {{ $password.name }}
    items: [{key: {{ $password.key }}, path: admin-password}]
{{- end }}
