{{- define "lockstep.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "lockstep.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "lockstep.name" .) -}}
{{- end }}

{{- define "lockstep.selectorLabels" -}}
app.kubernetes.io/name: lockstep
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lockstep.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "lockstep.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lockstep.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What all containers share. The root file system is read-only; /tmp and /files are volumes. */}}
{{- define "lockstep.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
envFrom:
  - secretRef:
      name: {{ .Values.secretName }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: files
    mountPath: /files
{{- end }}

{{- define "lockstep.volumes" -}}
- name: tmp
  emptyDir: {}
- name: files
  {{- if .Values.files.claim }}
  persistentVolumeClaim:
    claimName: {{ .Values.files.claim }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}

{{- define "lockstep.config" -}}
{{- range $name, $value := .Values.config }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* Spreads the pods of a component over nodes. Argument: a list of the root and the component. */}}
{{- define "lockstep.spread" -}}
{{- $root := index . 0 -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "lockstep.selectorLabels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Where the pods of a component may run. Argument: its values. */}}
{{- define "lockstep.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
