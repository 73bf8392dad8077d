import type { Caller } from '../../../predict/predict.ts'
import { predictionBase } from '../../../../monitoring/prediction-log/prediction-id.ts'
import type { Call } from '../call.ts'

/** Who asks for predictions, for the prediction log. */
export function callerOf({ incoming, requestId, startedMs, principal }: Call): Caller {
  return { requestId, predictionBase: predictionBase(requestId, incoming.headers['x-request-id']), startedMs, apiKey: principal }
}
