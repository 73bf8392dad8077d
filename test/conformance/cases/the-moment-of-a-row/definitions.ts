import { featureService, onDemandView, t } from 'lockstep'

export const clock = onDemandView('moment_clock', {
  version: 1,
  features: { moment: t.timestamp, hour: t.int32 },
  transform: ({ asOf }) => ({ moment: asOf, hour: new Date(Math.floor(asOf / 1000)).getUTCHours() }),
})
export const service = featureService('moment', { version: 1, features: [clock] })
