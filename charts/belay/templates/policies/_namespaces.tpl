{{/* Where the policies apply: where the controller works. */}}
{{- define "belay.policyNamespaces" -}}
{{- if .Values.controller.namespace -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Values.controller.namespace }}
{{- else -}}
namespaceSelector: {}
{{- end -}}
{{- end -}}
