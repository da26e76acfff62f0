/** Where one fleet's state is. All keys share one hash tag, so that a cluster keeps them on one server and one script may use them all. */
export function keysOf(name: string): readonly [state: string, ended: string, lives: string] {
  const tag = `{acestream:${name}}`
  return [`${tag}:state`, `${tag}:ended`, `${tag}:lives`]
}

/** The name of the fleet that uses an orchestrator: its address without the scheme, and without the `/v1` that an address may end with. */
export function nameFrom(baseUrl: string): string {
  return baseUrl.replace(/^https?:\/\//, '').replace(/\/v1$/, '')
}
