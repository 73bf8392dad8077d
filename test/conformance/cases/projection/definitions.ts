import { featureService, onDemandView, t } from 'lockstep'

export const three = onDemandView('pick_three', {
  version: 1,
  request: { x: t.int32 },
  features: { one: t.int32, two: t.int32, three: t.int32 },
  transform: ({ request }) => ({ one: request.x, two: request.x * 2, three: request.x * 3 }),
})
export const service = featureService('pick', { version: 1, features: [three.pick('two')] })
export const turned = featureService('pick_turned', { version: 1, features: [three.pick('three', 'one')] })
