{{/*
Envoy's bootstrap: the generator's (python -m crm_stack.gateway.chart), with this release's addresses in place of the marks. Takes the root.
*/}}
{{- define "pelagic.bootstrap" -}}
{{- $gateway := .Values.gateway -}}
{{- $file := printf "files/%s%s.json" (ternary "behind-proxies" "direct" (gt (int $gateway.trustedHops) 0)) (ternary "-traced" "" (ne .Values.telemetry.host "")) -}}
{{- $text := .Files.Get $file | required (printf "%s is not in the chart: python -m crm_stack.gateway.chart" $file) -}}
{{- range $service, $values := .Values.services -}}
{{- $address := printf "%s-%s.%s.svc.%s" (include "pelagic.name" $) $service $.Release.Namespace $.Values.clusterDomain -}}
{{- $text = $text | replace (printf "\"%s.service.invalid\"" $service) ($address | quote) -}}
{{- end -}}
{{- $text
  | replace "https://public-url.invalid" .Values.publicUrl
  | replace "\"xff_num_trusted_hops\":4711" (printf "\"xff_num_trusted_hops\":%d" (int $gateway.trustedHops))
  | replace "collector.invalid:4711" (printf "%s:%v" .Values.telemetry.host .Values.telemetry.port)
  | replace "\"collector.invalid\",\"port_value\":4711" (printf "%s,\"port_value\":%v" (quote .Values.telemetry.host) .Values.telemetry.port)
-}}
{{- end }}
