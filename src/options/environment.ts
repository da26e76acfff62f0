import { InvalidArgumentError } from '../errors.ts'
import { expectOptions } from '../runtime/validate.ts'
import type { OrchestratorClientOptions } from './options.ts'
import { CLIENT_OPTIONS } from './resolve.ts'

/** Environment variables, like `process.env`. */
export type Environment = Record<string, string | undefined>

/** Options that win over the environment. An option that is `undefined` does not. */
export type EnvironmentOverrides = { [Name in keyof OrchestratorClientOptions]?: OrchestratorClientOptions[Name] | undefined }

/**
 * Makes options of the variables that the Go proxy reads: `ACEXY_ORCH_URL`, `ACEXY_ORCH_APIKEY`, `ACEXY_CONTAINER_ID` and
 * `ACEXY_MAX_STREAMS_PER_ENGINE`. A variable that is empty counts as not set. Returns `undefined` if no URL is set. Without
 * `ACEXY_ORCH_URL` the other variables are ignored.
 *
 * @throws {@link InvalidArgumentError} with the name of a variable that is wrong, or of an override that is unknown
 */
export function readOptions(env: Environment, overrides: EnvironmentOverrides): OrchestratorClientOptions | undefined {
  const given = expectOptions(overrides, CLIENT_OPTIONS, { name: 'overrides' })
  const read = (name: string): string | undefined => env[name]?.trim() || undefined
  // The error of a wrong value must name the variable. A value that an override replaces is not used.
  const check = (option: 'baseUrl' | 'apiKey' | 'proxyId', variable: string): string | undefined => {
    const value = read(variable)
    if (value !== undefined && given[option] === undefined) CLIENT_OPTIONS[option](variable, value)
    return value
  }
  const baseUrl = read('ACEXY_ORCH_URL')
  if (baseUrl === undefined && given['baseUrl'] === undefined) return undefined
  const options =
    baseUrl === undefined
      ? {}
      : {
          baseUrl: check('baseUrl', 'ACEXY_ORCH_URL'),
          apiKey: check('apiKey', 'ACEXY_ORCH_APIKEY'),
          proxyId: check('proxyId', 'ACEXY_CONTAINER_ID'),
          maxStreamsPerEngine: parseLimit(read('ACEXY_MAX_STREAMS_PER_ENGINE')),
        }
  const overriding = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...options, ...Object.fromEntries(overriding) } as OrchestratorClientOptions
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('ACEXY_MAX_STREAMS_PER_ENGINE', 'a whole number, 1 or more')
  return Number(text)
}

/** `process.env`, on platforms that have it. */
export function readProcessEnvironment(): Environment {
  return (globalThis as { process?: { env?: Environment } }).process?.env ?? {}
}
