import { InvalidArgumentError } from '../errors.ts'
import type { OrchestratorClientOptions } from './options.ts'

/** Environment variables, as `process.env` has them. */
export type Environment = Record<string, string | undefined>

/** Options that win over those of the environment. `undefined`: the environment's option stays. */
export type EnvironmentOverrides = { [Name in keyof OrchestratorClientOptions]?: OrchestratorClientOptions[Name] | undefined }

/**
 * Options from the variables that the Go proxy reads: `ACEXY_ORCH_URL`, `ACEXY_ORCH_APIKEY`, `ACEXY_CONTAINER_ID`,
 * `ACEXY_MAX_STREAMS_PER_ENGINE`. `undefined` where no URL is set.
 *
 * @throws {@link InvalidArgumentError} naming the variable that is wrong
 */
export function optionsFromEnvironment(env: Environment): OrchestratorClientOptions | undefined {
  const baseUrl = env['ACEXY_ORCH_URL']?.trim()
  if (!baseUrl) return undefined
  const options: OrchestratorClientOptions = { baseUrl }
  const apiKey = env['ACEXY_ORCH_APIKEY']?.trim()
  if (apiKey) options.apiKey = apiKey
  const proxyId = env['ACEXY_CONTAINER_ID']?.trim()
  if (proxyId) options.proxyId = proxyId
  const limit = env['ACEXY_MAX_STREAMS_PER_ENGINE']?.trim()
  if (limit) {
    if (!/^[1-9]\d{0,8}$/.test(limit)) throw new InvalidArgumentError('ACEXY_MAX_STREAMS_PER_ENGINE', 'a whole number, 1 or more')
    options.maxStreamsPerEngine = Number(limit)
  }
  return options
}
