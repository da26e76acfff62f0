/** Node, Bun and Deno call the method of this name to show an object, as `console.log` does. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * Says what `console.log` shows of an object: a name, and the fields that `read` picks, whatever else the object holds.
 *
 * @param target the object, or the prototype of all of its class
 */
export function showAs<Target extends object>(target: Target, name: string, read: (shown: Target) => object): void {
  function show(this: Target, depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    return depth < 0 ? `[${name}]` : `${name} ${inspect(read(this), options)}`
  }
  Object.defineProperty(target, INSPECT, { value: show })
}
