/** Where and how a process sends its spans, from the environment variables of OpenTelemetry (docs/tracing.md). */
export interface TraceSettings {
  /** Where spans are posted: ends with `/v1/traces`, unless `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says otherwise. */
  readonly url: string
  /** May hold secrets: never print them. */
  readonly headers: Readonly<Record<string, string>>
  /** How long one export may take with its retries, milliseconds. */
  readonly timeoutMs: number
  readonly sampler: Sampler
  /** The share of traces that `traceidratio` samples, 0 to 1. */
  readonly ratio: number
  /** How long spans wait for others, milliseconds. */
  readonly delayMs: number
  /** How many spans may wait. */
  readonly maxQueue: number
  /** Of the process: `service.name` and others. */
  readonly resource: Readonly<Record<string, string>>
}

export type Sampler = (typeof samplers)[number]

const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

const protocol = 'http/protobuf'
const maxTimeoutMs = 3_600_000
const maxQueueSpans = 1_000_000

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reads the variables of OpenTelemetry that Lockstep takes. A variable for traces alone goes before the one for all
 * signals. An empty variable counts as absent.
 *
 * @param problems gets a text for each invalid variable
 * @returns null: no spans are made, as no endpoint is set or tracing is turned off
 */
export function readTraceSettings(env: Env, problems: string[]): TraceSettings | null {
  const read = (name: string): string | undefined => (env[name] === '' ? undefined : env[name])
  const named = (name: string): readonly [string, string | undefined] => {
    const own = `OTEL_EXPORTER_OTLP_TRACES_${name}`
    return read(own) === undefined ? [`OTEL_EXPORTER_OTLP_${name}`, read(`OTEL_EXPORTER_OTLP_${name}`)] : [own, read(own)]
  }
  const [endpointName, endpoint] = named('ENDPOINT')
  if (endpoint === undefined || read('OTEL_SDK_DISABLED')?.toLowerCase() === 'true' || read('OTEL_TRACES_EXPORTER') === 'none') return null

  function samplerNamed(value = 'parentbased_always_on'): Sampler {
    const found = samplers.find((each) => each === value)
    if (found === undefined) problems.push(`"OTEL_TRACES_SAMPLER" is "${value}"; it must be one of ${samplers.join(', ')}`)
    return found ?? 'always_off'
  }

  function number(name: string, value: string | undefined, otherwise: number, [min, max]: readonly [number, number], whole = true): number {
    if (value === undefined) return otherwise
    const found = Number(value)
    if (value.trim() !== '' && found >= min && found <= max && (!whole || Number.isInteger(found))) return found
    problems.push(`"${name}" is "${value}"; it must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`)
    return otherwise
  }

  /** Pairs `key=value`, separated by commas, with percent-encoded values, as W3C Baggage writes them. */
  function pairs(name: string, value: string | undefined, mayBeSecret: boolean): Record<string, string> {
    const found: Record<string, string> = {}
    for (const [at, pair] of (value ?? '').split(',').entries()) {
      if (pair.trim() === '') continue
      const [, key = '', text = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
      try {
        if (key.trim() === '') throw new URIError('no key')
        found[key.trim()] = decodeURIComponent(text.trim())
      } catch {
        const shown = mayBeSecret ? `entry ${at + 1} of "${name}" (not shown: it may hold a secret)` : `"${pair}" in "${name}"`
        problems.push(`${shown} is not a pair such as key=value, with % as %25`)
      }
    }
    return found
  }

  if (!URL.canParse(endpoint) || !['http:', 'https:'].includes(new URL(endpoint).protocol))
    problems.push(
      `"${endpointName}" is something else (not shown: it may hold a secret); it must be a URL of a collector's HTTP port, such as http://collector:4318`,
    )
  const [protocolName, asked] = named('PROTOCOL')
  if (asked !== undefined && asked !== protocol)
    problems.push(`"${protocolName}" is "${asked}"; it must be ${protocol}: set the endpoint to the collector's HTTP port, usually 4318`)
  const sampler = samplerNamed(read('OTEL_TRACES_SAMPLER'))
  const resource = pairs('OTEL_RESOURCE_ATTRIBUTES', read('OTEL_RESOURCE_ATTRIBUTES'), false)
  return {
    url: endpointName.includes('TRACES') ? endpoint : `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: {
      ...pairs('OTEL_EXPORTER_OTLP_HEADERS', read('OTEL_EXPORTER_OTLP_HEADERS'), true),
      ...pairs('OTEL_EXPORTER_OTLP_TRACES_HEADERS', read('OTEL_EXPORTER_OTLP_TRACES_HEADERS'), true),
    },
    timeoutMs: number(...named('TIMEOUT'), 10_000, [1, maxTimeoutMs]),
    sampler,
    ratio: sampler.endsWith('traceidratio') ? number('OTEL_TRACES_SAMPLER_ARG', read('OTEL_TRACES_SAMPLER_ARG'), 1, [0, 1], false) : 1,
    delayMs: number('OTEL_BSP_SCHEDULE_DELAY', read('OTEL_BSP_SCHEDULE_DELAY'), 5_000, [1, maxTimeoutMs]),
    maxQueue: number('OTEL_BSP_MAX_QUEUE_SIZE', read('OTEL_BSP_MAX_QUEUE_SIZE'), 2_048, [1, maxQueueSpans]),
    resource: { ...resource, 'service.name': read('OTEL_SERVICE_NAME') ?? resource['service.name'] ?? 'lockstep' },
  }
}
