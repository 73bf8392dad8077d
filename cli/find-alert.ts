import { alertJson, deliveryJson, readAlert, readDeliveries } from '../monitoring/alerts/read-alerts.ts'
import type { AlertAnswer } from '../serving/protocols/http/monitoring/alert-schemas.ts'
import type { Context } from './context.ts'

/** An alert and its notifications, from the database, as a server answers it. */
export async function findAlert(context: Context, id: number): Promise<AlertAnswer> {
  const db = await context.database()
  const [alert, deliveries] = [await readAlert(db, id), await readDeliveries(db, id)]
  return { ...alertJson(alert), deliveries: deliveries.map(deliveryJson) }
}
