import { channel, entity, featureView, last, monitor, source, t } from '../../index.ts'

const car = entity('car', { key: { car: t.string } })
const drives = source('drives', { key: { car: 'car' }, eventTime: 'at', columns: { speed: t.float64 } })
const team = channel('team', { kind: 'slack', url: { env: 'SLACK_URL' } })

export const speeds = featureView('speeds', {
  version: 1,
  entity: car,
  source: drives,
  online: true,
  freshness: '10m',
  features: { speed: last('speed') },
})
export const speed = monitor('speed', {
  view: speeds,
  checks: [{ kind: 'freshness', maxAge: '1h' }],
  notify: [team],
  description: 'Speeds arrive.',
})
