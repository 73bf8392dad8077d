import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../runtime/config.ts'
import { readTraceSettings } from '../../../runtime/tracing/trace-settings.ts'

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

function read(env: Record<string, string>) {
  const problems: string[] = []
  return { settings: readTraceSettings(env, problems), problems }
}

describe('the settings of traces', () => {
  it('are null without an endpoint, or if tracing is turned off', () => {
    expect(loadConfig({ OTEL_SERVICE_NAME: 'features', OTEL_TRACES_SAMPLER: 'nonsense' }).traces).toBeNull()
    for (const off of [{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }])
      expect(read({ ...endpoint, ...off })).toEqual({ settings: null, problems: [] })
  })

  it('have the defaults of OpenTelemetry', () => {
    expect(loadConfig(endpoint).traces).toEqual({
      url: 'http://collector:4318/v1/traces',
      headers: {},
      timeoutMs: 10_000,
      sampler: 'parentbased_always_on',
      ratio: 1,
      delayMs: 5_000,
      maxQueue: 2_048,
      resource: { 'service.name': 'lockstep' },
    })
  })

  it('take the variables of OpenTelemetry, those for traces alone first', () => {
    const { settings, problems } = read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318/',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/otlp',
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%2Cb, x = 1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x=2',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_BSP_MAX_QUEUE_SIZE: '50',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,service.name=other',
      OTEL_SERVICE_NAME: 'features',
    })
    expect(problems).toEqual([])
    expect(settings).toEqual({
      url: 'https://traces.example/otlp',
      headers: { 'api-key': 'a,b', x: '2' },
      timeoutMs: 500,
      sampler: 'parentbased_traceidratio',
      ratio: 0.01,
      delayMs: 100,
      maxQueue: 50,
      resource: { 'deployment.environment.name': 'prod', 'service.name': 'features' },
    })
    expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://all:4318//' }).settings?.url).toBe('http://all:4318/v1/traces')
  })

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318/hush' }, 'a URL of a collector', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'usually 4318', 'OTEL_EXPORTER_OTLP_PROTOCOL'],
    [{ OTEL_TRACES_SAMPLER: 'sometimes' }, 'parentbased_traceidratio', 'OTEL_TRACES_SAMPLER'],
    [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '1.5' }, 'a number from 0 to 1', 'OTEL_TRACES_SAMPLER_ARG'],
    [{ OTEL_BSP_MAX_QUEUE_SIZE: '0' }, 'a whole number from 1', 'OTEL_BSP_MAX_QUEUE_SIZE'],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'a=1,hush' }, 'entry 2', 'OTEL_EXPORTER_OTLP_HEADERS'],
    [{ OTEL_RESOURCE_ATTRIBUTES: 'a=%zz' }, '"a=%zz"', 'OTEL_RESOURCE_ATTRIBUTES'],
  ])('refuse %j and say what to do, without a secret', (env, said, name) => {
    const { problems } = read({ ...endpoint, ...env })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(said)
    expect(problems[0]).toContain(`"${name}"`)
    expect(problems[0]).not.toContain('hush')
    expect(() => loadConfig({ ...endpoint, ...env })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
