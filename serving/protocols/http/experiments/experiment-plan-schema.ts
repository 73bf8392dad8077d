import { z } from 'zod'

/** The answer of `GET /v1/experiments/{name}/plan`. */
export const experimentPlanAnswer = z.object({
  experiment: z.string().describe('The name of the experiment'),
  model: z.string().describe('Its model'),
  method: z.string().describe('The method of its analysis'),
  alpha: z.number().describe('The level of its analysis'),
  power: z.number().describe('The chance to find an effect'),
  metric: z
    .object({
      name: z.string().describe('Its name'),
      value: z.number().describe('Its value'),
      deviation: z.number().describe('The standard deviation of a unit, after what the covariates explain'),
      explained: z.number().nullable().describe('The share of the variance that the covariates explain; null: there are none'),
      units: z.int().describe('The units behind it'),
    })
    .describe('The primary metric in the prediction log'),
  traffic: z
    .object({
      days: z.number().describe('The days from the first prediction that was read until now'),
      units: z.int().describe('Their units, whether they would be in the experiment or not'),
      unitsByDay: z
        .number()
        .nullable()
        .describe('New units by day, recently, that would be in the experiment; null: the log has fewer than 7 days with predictions'),
    })
    .describe('The traffic in the prediction log'),
  horizons: z
    .array(
      z.object({
        days: z.int().describe('So many days after the start'),
        units: z.int().describe('The units by then'),
        atLeast: z.boolean().describe('Whether only the units in the log count, so that there may be more and the effect may be smaller'),
        detectable: z.number().nullable().describe('The effect that they find, in the unit of the metric; null: too few'),
        detectableShare: z.number().nullable().describe('The same as a share of the metric'),
      }),
    )
    .describe('The smallest effects that the experiment finds after some time'),
  needs: z
    .object({
      effect: z.number().describe('The effect, as a share of the metric'),
      units: z.int().describe('The units that it takes'),
      days: z.number().nullable().describe('The days that it takes; null: more than ten years, or not known because unitsByDay is not'),
    })
    .nullable()
    .describe('The units and time that the stated effect needs; null: no effect is stated'),
  notes: z.array(z.string()).describe('Notes on the plan, one sentence each'),
})
