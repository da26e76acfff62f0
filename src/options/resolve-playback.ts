import { expectCount, expectDuration, expectFunction, expectPositiveDuration, expectText, expectTexts } from '../runtime/validate.ts'
import type { JoinStreamOptions, OpenStreamOptions } from './playback-options.ts'
import { ACQUIRE_OPTIONS, allowUndefined, type CallValues, type CheckTable, checkOptions } from './resolve.ts'
import { expectKeyType, expectStreamId, MAX_KEY_LENGTH } from './stream-start.ts'

/** Options of `openStream` after their checks. */
export type ResolvedOpenOptions<T> = CallValues<Omit<OpenStreamOptions<T>, 'exclude'>, 'content' | 'labels' | 'streamId' | 'close'> & {
  readonly exclude: ReadonlySet<string>
}
export const OPEN_OPTIONS: CheckTable<ResolvedOpenOptions<unknown>> = {
  ...ACQUIRE_OPTIONS,
  keyType: expectKeyType,
  key: (name, value) => expectText(name, value, MAX_KEY_LENGTH),
  labels: allowUndefined(expectTexts),
  streamId: allowUndefined((_name, value) => expectStreamId(value)),
  open: expectFunction<OpenStreamOptions<unknown>['open']>,
  close: allowUndefined(expectFunction<NonNullable<OpenStreamOptions<unknown>['close']>>),
  engineAttempts: expectCount,
  openTimeoutMs: expectPositiveDuration,
  playbackCloseTimeoutMs: expectDuration,
}
/** Options of `joinStream` after their checks. */
export type ResolvedJoinOptions<T> = ResolvedOpenOptions<T> & Pick<JoinStreamOptions<T>, 'variant'> & { readonly lingerMs: number }
export const JOIN_OPTIONS: CheckTable<ResolvedJoinOptions<unknown>> = {
  ...OPEN_OPTIONS,
  variant: allowUndefined((name, value) => expectText(name, value, 255)),
  lingerMs: expectDuration,
}

/** Checks the options of `openStream`. Its `open` and `close` agree on `T`: the compiler has checked that. */
export function checkOpenOptions<T>(options: OpenStreamOptions<T>): ResolvedOpenOptions<T> {
  return checkOptions(OPEN_OPTIONS, options) as ResolvedOpenOptions<T>
}

/** Checks the options of `joinStream`. */
export function checkJoinOptions<T>(options: JoinStreamOptions<T>): ResolvedJoinOptions<T> {
  return checkOptions(JOIN_OPTIONS, options) as ResolvedJoinOptions<T>
}
