import { dayPartitions } from '../day-partitions.ts'

export { dayOf } from '../day-partitions.ts'

const { create, drop } = dayPartitions('prediction_log')

export const makePartitions = create
export const dropPartitions = drop
