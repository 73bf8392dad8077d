import type { Logger } from '../log.ts'
import type { MetricsRegistry } from '../metrics.ts'
import type { Tracing } from './span.ts'
import type { TraceSettings } from './trace-settings.ts'

/** Only processes that send spans load OpenTelemetry. */
export async function openTracing(
  settings: TraceSettings,
  deps: { readonly log: Logger; readonly registry: MetricsRegistry },
): Promise<Tracing> {
  const { createOtlpTracing } = await import('./otlp-tracing.ts')
  return createOtlpTracing(settings, deps)
}
