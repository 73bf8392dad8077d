import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

/** How other processes call this one: `host:pid`. */
export function processName(): string {
  return `${hostname()}:${process.pid}`
}

/** The same with a random end, which no earlier process with this id had. */
export function uniqueProcessName(): string {
  return `${processName()}:${randomBytes(4).toString('hex')}`
}
