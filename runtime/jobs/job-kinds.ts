/** All kinds of jobs that this version has. The code of each is in the room that knows its work. */
export const jobKinds = [
  'backfill',
  'scheduled-run',
  'housekeeping',
  'export',
  'batch',
  'scheduled-batch',
  'training',
  'source-sync',
  'baselines',
  'merge-rollups',
  'monitor',
  'alert-delivery',
  'experiments',
  'figures',
  'rollouts',
] as const

export type JobKindName = (typeof jobKinds)[number]
