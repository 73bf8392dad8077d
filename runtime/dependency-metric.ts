import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'

/** Whether what a process cannot do without answered when it was last asked. */
export function createDependencyMetric(registry: Registry): (dependency: string, up: boolean) => void {
  const gauge = new Gauge({
    name: 'lockstep_dependency_up',
    help: 'Whether the database and the online store answered when this process last asked: 1 or 0.',
    labelNames: ['dependency'],
    registers: [registry],
  })
  return (dependency, up) => gauge.set({ dependency }, up ? 1 : 0)
}
