{{/*
The sidecar for a Pod of your own chart. Each takes `.Values.tlsSidecar`, or less: what is not said has
the default of tls-sidecar.defaults.

  spec:
    securityContext:
      {{- include "tls-sidecar.podSecurityContext" .Values.tlsSidecar | nindent 6 }}
    initContainers:
    {{- include "tls-sidecar.container" .Values.tlsSidecar | nindent 4 }}
    volumes:
    {{- include "tls-sidecar.volumes" .Values.tlsSidecar | nindent 4 }}
*/}}

{{- define "tls-sidecar.defaults" -}}
image:
  repository: tls-sidecar
  tag: 0.1.0
  digest: ""
  pullPolicy: IfNotPresent
upstream: http://127.0.0.1:8080
secretName: tls
native: true
workers: 2
drain:
  delaySeconds: 5
  timeoutSeconds: 20
settings: {}
volumes: []
volumeMounts: []
resources:
  requests:
    cpu: 50m
    memory: 32Mi
  limits:
    memory: 128Mi
{{- end }}

{{- define "tls-sidecar.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end }}

{{- define "tls-sidecar.podSecurityContext" -}}
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
sysctls:
- name: net.ipv4.ip_unprivileged_port_start
  value: "0"
{{- end }}

{{- define "tls-sidecar.container" -}}
{{- $values := mergeOverwrite (include "tls-sidecar.defaults" . | fromYaml) (deepCopy (default dict .)) -}}
- name: tls-sidecar
  image: {{ include "tls-sidecar.image" $values.image }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- if $values.native }}
  restartPolicy: Always
  {{- end }}
  env:
  - name: TLS_SIDECAR_UPSTREAM
    value: {{ $values.upstream | quote }}
  - name: TLS_SIDECAR_WORKERS
    value: {{ $values.workers | quote }}
  {{- if ne (int $values.drain.delaySeconds) 5 }}
  - name: TLS_SIDECAR_DRAIN_DELAY
    value: {{ printf "%ds" (int $values.drain.delaySeconds) }}
  {{- end }}
  {{- if ne (int $values.drain.timeoutSeconds) 20 }}
  - name: TLS_SIDECAR_DRAIN_TIMEOUT
    value: {{ printf "%ds" (int $values.drain.timeoutSeconds) }}
  {{- end }}
  {{- range $name, $value := $values.settings }}
  - name: TLS_SIDECAR_{{ $name | upper | replace "-" "_" }}
    value: {{ $value | toString | quote }}
  {{- end }}
  ports:
  - name: https
    containerPort: 443
  - name: admin
    containerPort: 9901
  startupProbe:
    httpGet:
      path: /startupz
      port: admin
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    httpGet:
      path: /readyz
      port: admin
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
  livenessProbe:
    httpGet:
      path: /livez
      port: admin
    periodSeconds: 10
    timeoutSeconds: 5
  lifecycle:
    preStop:
      exec:
        command: [/tls-sidecar, drain, --wait, {{ printf "%ds" (int (include "tls-sidecar.stopSeconds" .)) }}]
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
    seccompProfile:
      type: RuntimeDefault
  volumeMounts:
  - name: tls
    mountPath: /etc/tls
    readOnly: true
  {{- with $values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "tls-sidecar.volumes" -}}
{{- $values := mergeOverwrite (include "tls-sidecar.defaults" . | fromYaml) (deepCopy (default dict .)) -}}
- name: tls
  secret:
    secretName: {{ $values.secretName }}
    defaultMode: 0440
{{- with $values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the sidecar needs to stop: delay, timeout and 3 s to say goodbye. */}}
{{- define "tls-sidecar.stopSeconds" -}}
{{- $values := mergeOverwrite (include "tls-sidecar.defaults" . | fromYaml) (deepCopy (default dict .)) -}}
{{- add (int $values.drain.delaySeconds) (int $values.drain.timeoutSeconds) 3 -}}
{{- end }}
