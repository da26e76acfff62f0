import type { Engine, EngineAddress } from '../orchestrator/domain.ts'
import { expectAddress } from '../validate.ts'

/**
 * The engine under the address this proxy reaches it by (hazard 17). Everything else stays as listed.
 *
 * @throws {@link InvalidArgumentError} where the host's `mapEngine` answers no address; whatever `mapEngine` throws
 */
export function mapEngine(engine: Engine, map: ((engine: Engine) => EngineAddress) | undefined): Engine {
  if (map === undefined) return engine
  const { host, port } = expectAddress('mapEngine', map(engine))
  const properties = {
    ...Object.getOwnPropertyDescriptors(engine),
    host: { value: host, enumerable: true },
    port: { value: port, enumerable: true },
  }
  return Object.freeze(Object.defineProperties({}, properties)) as Engine
}
