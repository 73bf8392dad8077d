import { dayPartitions } from '../day-partitions.ts'

/** The days of `lockstep.rollups`. */
export const rollupPartitions = dayPartitions('rollups')
