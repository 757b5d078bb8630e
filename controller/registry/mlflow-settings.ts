import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import { parseMlflowNames } from './mlflow-names.ts'
import type { MlflowCredentials } from './mlflow-api.ts'

const CREDENTIALS = 'MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN'

/** Of the environment, as MLflow's own clients call them. */
export const mlflowSettings = {
  /** Versions are kept on this MLflow server, in place of the models folder. */
  MLFLOW_TRACKING_URI: z
    .url({ protocol: /^https?$/ })
    // it is told in messages and logs
    .refine(text => !hasCredentials(text), `must not carry credentials: set ${CREDENTIALS}`)
    .optional(),
  MLFLOW_TRACKING_USERNAME: z.string().optional(),
  MLFLOW_TRACKING_PASSWORD: z.string().optional(),
  MLFLOW_TRACKING_TOKEN: z.string().optional(),
  /** What models are called there: food11=GourmetGramModel, or a pattern such as team.{model}. */
  WEIR_MLFLOW_NAMES: z.string().transform(parseMlflowNames).optional(),
}

function hasCredentials(text: string): boolean {
  const { username = '', password = '' } = URL.parse(text) ?? {}
  return username !== '' || password !== ''
}

interface Given {
  readonly MLFLOW_TRACKING_USERNAME?: string | undefined
  readonly MLFLOW_TRACKING_PASSWORD?: string | undefined
  readonly MLFLOW_TRACKING_TOKEN?: string | undefined
}

/** A name and a password come before a token, as with MLflow's clients. Throws when one of the two is missing. */
export function mlflowCredentials(given: Given): MlflowCredentials | undefined {
  const { MLFLOW_TRACKING_USERNAME: username, MLFLOW_TRACKING_PASSWORD: password } = given
  if (username !== undefined && password !== undefined) return { username, password }
  if (username !== undefined || password !== undefined)
    throw new WeirError(
      'invalid_setting',
      'MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD go together: one of them is missing',
    )
  return given.MLFLOW_TRACKING_TOKEN === undefined ? undefined : { token: given.MLFLOW_TRACKING_TOKEN }
}
