import { InvalidArgumentError } from '../../errors.ts'
import type { Engine, EngineAddress } from '../../model/domain.ts'
import { ignoreRejection, isPromiseLike } from '../../runtime/maybe-promise.ts'
import { expectAddress } from '../../runtime/validate.ts'

/**
 * The engine under the address this proxy reaches it by (hazard 17). Everything else stays as listed.
 *
 * @throws {@link InvalidArgumentError} where the host's `mapEngine` returns no address, or a promise; whatever `mapEngine` throws
 */
export function mapEngine(engine: Engine, map: ((engine: Engine) => EngineAddress) | undefined): Engine {
  if (map === undefined) return engine
  const address: unknown = map(engine)
  if (isPromiseLike(address)) {
    ignoreRejection(address)
    throw new InvalidArgumentError('mapEngine', 'a function that returns an address, not a promise of one')
  }
  const { host, port } = expectAddress('mapEngine', address)
  const properties = {
    ...Object.getOwnPropertyDescriptors(engine),
    host: { value: host, enumerable: true },
    port: { value: port, enumerable: true },
  }
  return Object.freeze(Object.defineProperties({}, properties)) as Engine
}
