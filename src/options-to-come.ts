import type { OrchestratorClientOptions } from './options.ts'
import { expectCount, expectDuration, expectObject, expectPositiveDuration } from './validate.ts'

/**
 * Options without effect yet are checked all the same: a host's mistake must not wait for the release that reads them.
 *
 * @throws {@link InvalidArgumentError} naming the option that is wrong
 */
export function checkOptionsToCome({ retry, deliveryTimeoutMs, circuitBreaker }: OrchestratorClientOptions): void {
  if (deliveryTimeoutMs !== undefined) expectDuration('deliveryTimeoutMs', deliveryTimeoutMs)
  if (retry !== undefined) {
    expectObject('retry', retry)
    if (retry.attempts !== undefined) expectCount('retry.attempts', retry.attempts)
    if (retry.baseDelayMs !== undefined) expectDuration('retry.baseDelayMs', retry.baseDelayMs)
    if (retry.maxDelayMs !== undefined) expectDuration('retry.maxDelayMs', retry.maxDelayMs)
  }
  if (circuitBreaker !== undefined && circuitBreaker !== false) {
    expectObject('circuitBreaker', circuitBreaker)
    if (circuitBreaker.failureThreshold !== undefined) expectCount('circuitBreaker.failureThreshold', circuitBreaker.failureThreshold)
    if (circuitBreaker.resetAfterMs !== undefined) expectPositiveDuration('circuitBreaker.resetAfterMs', circuitBreaker.resetAfterMs)
  }
}
