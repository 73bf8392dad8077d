import { hostname } from 'node:os'

/** How other processes call this one: `host:pid`. */
export function processName(): string {
  return `${hostname()}:${process.pid}`
}
