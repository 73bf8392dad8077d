import { statfsSync } from 'node:fs'

const place = '/dev/shm'
const gigabyte = 2 ** 30

/**
 * A folder in memory for the files of a run, where the system has one with enough room; else null. A test database is a
 * thousand files: a disk takes seven times as long to create them.
 */
export function memoryFolder(): string | null {
  try {
    const { bavail, bsize } = statfsSync(place)
    return bavail * bsize >= 4 * gigabyte && process.availableMemory() >= 8 * gigabyte ? place : null
  } catch {
    return null
  }
}
